"""The compiled inner loops, one C++ file each; their plain twins, the oracles, stand in the tests of what uses them.

They work on C-contiguous float32 or float64 planes of shape (channels, samples), release the GIL, keep their
state in float64, and check nothing: callers do.
"""

from dsp.kernels._kernels import CLICK_SIGNS as CLICK_SIGNS
from dsp.kernels._kernels import BandLevels as BandLevels
from dsp.kernels._kernels import Biquads as Biquads
from dsp.kernels._kernels import ClickScreen as ClickScreen
from dsp.kernels._kernels import ClipLevels as ClipLevels
from dsp.kernels._kernels import Compressor as Compressor
from dsp.kernels._kernels import Decimator as Decimator
from dsp.kernels._kernels import FlatTops as FlatTops
from dsp.kernels._kernels import Limiter as Limiter
from dsp.kernels._kernels import NoiseGains as NoiseGains
from dsp.kernels._kernels import NoiseShapers as NoiseShapers
from dsp.kernels._kernels import SegmentPowers as SegmentPowers
from dsp.kernels._kernels import TruePeaks as TruePeaks
from dsp.kernels._kernels import band_powers as band_powers
from dsp.kernels._kernels import burg as burg
from dsp.kernels._kernels import deinterleave as deinterleave
from dsp.kernels._kernels import fill_gap as fill_gap
from dsp.kernels._kernels import hum as hum
from dsp.kernels._kernels import interleave_float as interleave_float
from dsp.kernels._kernels import interleave_pcm as interleave_pcm
from dsp.kernels._kernels import level_gains as level_gains
from dsp.kernels._kernels import median_crest_db as median_crest_db
from dsp.kernels._kernels import quantise as quantise
from dsp.kernels._kernels import refine_bands as refine_bands
from dsp.kernels._kernels import settled_gain as settled_gain
from dsp.kernels._kernels import short_burg as short_burg
from dsp.kernels._kernels import social_step as social_step
from dsp.kernels._kernels import spread_db as spread_db
from dsp.kernels._kernels import windowed as windowed
