"""A smooth curve from noisy differences: the Gaussian process behind tone and width.

What two tracks differ by is mastering plus music. Mastering is a smooth bounded curve; music is partly rough (notes),
partly as smooth as mastering (arrangement), and the rough part betrays how large the smooth one may be. Rasmussen &
Williams, Gaussian Processes for Machine Learning, 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A curve and how sure it is, at `frequency_hz`; all of shape (bands,), in dB."""

    frequency_hz: Array
    difference_db: Array
    """What was measured: reference minus target."""
    mean_db: Array
    """What of it is believed to be mastering."""
    sd_db: Array
    """Standard deviation of the belief."""
    heard: NDArray[np.bool_]
    """Bands in which both tracks have signal; the others follow from the prior alone."""


def kernel(octaves: Array, sd_db: float, length_oct: float) -> Array:
    """Squared-exponential covariance between places on an octave scale."""
    apart = (octaves[:, None] - octaves[None, :]) / length_oct
    return sd_db**2 * np.exp(-0.5 * apart**2)


def roughness_db(octaves: Array, difference_db: Array, heard: NDArray[np.bool_]) -> float:
    """RMS of what no smooth curve explains of the differences."""
    if heard.sum() < 6:
        return 6.0
    x, y = octaves[heard], difference_db[heard]
    smooth = kernel(x, 6.0, 0.8) + 36.0
    residual = np.linalg.solve(smooth + np.eye(len(x)), y)  # unit noise: the residual itself
    return float(np.sqrt(np.mean(residual**2)))


def posterior(
    octaves: Array, difference_db: Array, heard: NDArray[np.bool_], prior: Array, noise: Array
) -> tuple[Array, Array]:
    """Mean and standard deviation of the curve at every place, given what was heard."""
    seen = np.flatnonzero(heard)
    inside = prior[np.ix_(seen, seen)] + noise[np.ix_(seen, seen)]
    gain = np.linalg.solve(inside, prior[seen]).T
    mean = gain @ difference_db[seen]
    variance = np.diag(prior) - np.einsum("ij,ji->i", gain, prior[seen])
    return mean, np.sqrt(np.maximum(variance, 0.0))


def log_evidence(difference_db: Array, heard: NDArray[np.bool_], prior: Array, noise: Array) -> float:
    """Log marginal likelihood of what was heard, up to a constant: how well the assumptions explain it."""
    seen = np.flatnonzero(heard)
    inside = (prior + noise)[np.ix_(seen, seen)]
    lower = np.linalg.cholesky(inside)
    white = np.linalg.solve(lower, difference_db[seen])
    return float(-0.5 * white @ white - np.log(np.diag(lower)).sum())
