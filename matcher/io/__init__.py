"""The only border: files in, files out, and sound that is already in memory on equal terms.

`open_audio` reads lazily in blocks, `AudioWriter` writes atomically in blocks, `check_output` refuses before any
work begins. Every refusal is one line that names the file, what is wrong with it, and what is allowed.
"""

from matcher.io.carrying import carried as carried
from matcher.io.carrying import described as described
from matcher.io.folding import in_stereo as in_stereo
from matcher.io.folding import need_stereo as need_stereo
from matcher.io.hashing import audio_hash as audio_hash
from matcher.io.hashing import content_hash as content_hash
from matcher.io.naming import SOUNDS as SOUNDS
from matcher.io.naming import hidden_beside as hidden_beside
from matcher.io.naming import left_over as left_over
from matcher.io.naming import reason as reason
from matcher.io.naming import shown as shown
from matcher.io.naming import system_path as system_path
from matcher.io.outputs import OutputFormat as OutputFormat
from matcher.io.outputs import check_output as check_output
from matcher.io.outputs import default_output as default_output
from matcher.io.outputs import output_format as output_format
from matcher.io.reading import AudioArray as AudioArray
from matcher.io.reading import AudioFile as AudioFile
from matcher.io.reading import AudioSource as AudioSource
from matcher.io.reading import open_audio as open_audio
from matcher.io.reading import read_audio as read_audio
from matcher.io.resampling import resampled_blocks as resampled_blocks
from matcher.io.resampling import resampled_length_samples as resampled_length_samples
from matcher.io.writing import AudioWriter as AudioWriter
from matcher.io.writing import write_audio as write_audio
