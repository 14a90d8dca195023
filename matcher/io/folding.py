"""A surround source heard in stereo, for all that knows nothing of more channels."""

from __future__ import annotations

from dataclasses import dataclass

from dsp.audio import Samples
from dsp.errors import FileError
from dsp.surround import Speakers
from matcher.io.reading import AudioSource


@dataclass(eq=False, kw_only=True)
class Folded(AudioSource):
    """The stereo mix of `original`, times `gain`; the original stays its owner's."""

    original: AudioSource
    layout: Speakers
    gain: float = 1.0

    def read(self, start_sample: int, count_samples: int) -> Samples:
        block = self.original.read(start_sample, count_samples)
        return self.layout.folded(block) * block.dtype.type(self.gain)

    def content_hash(self) -> str:
        return self.original.content_hash()

    def close(self) -> None:
        pass


def in_stereo(source: AudioSource, gain: float = 1.0) -> AudioSource:
    """A source itself, or its stereo mix where it has more channels."""
    layout = source.speakers
    if layout is None:
        return source
    same = ("name", "path", "sample_rate_hz", "length_samples", "container", "subtype", "dtype")
    kept = {name: getattr(source, name) for name in same}
    return Folded(original=source, layout=layout, gain=gain, channels=2, **kept)


def need_stereo(source: AudioSource, what: str) -> None:
    """FileError where a source has more than two channels; what: that cannot be done with them."""
    if source.channels > 2:
        raise FileError(f"{source.name}: has {source.channels} channels; {what} takes mono and stereo")
