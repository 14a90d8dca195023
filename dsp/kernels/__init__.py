"""The compiled inner loops, one C++ file each; `tests/dsp/twins` has their plain twins, the oracles.

They work on C-contiguous float32 or float64 planes of shape (channels, samples), release the GIL, keep their
state in float64, and check nothing: callers do.
"""

from dsp.kernels._kernels import Biquads as Biquads
from dsp.kernels._kernels import SegmentPowers as SegmentPowers
from dsp.kernels._kernels import TruePeaks as TruePeaks
