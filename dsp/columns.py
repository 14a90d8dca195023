"""Columns: an array whose columns come piece by piece, over hours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Columns:
    """The columns of one array, in place as they come; joining pieces in the end would hold all of them twice."""

    def __init__(self, rows: int, dtype: type[np.generic], expected: int) -> None:
        """expected: how many there will be, as far as that is known; more find room as well."""
        self._array = np.empty((rows, max(expected, 1)), dtype=dtype)
        self._count = 0

    def add(self, piece: NDArray[Any]) -> None:
        """The next ones, (rows, columns)."""
        stop = self._count + piece.shape[1]
        if stop > self._array.shape[1]:
            larger = np.empty((len(self._array), max(stop, 2 * self._count)), dtype=self._array.dtype)
            larger[:, : self._count] = self._array[:, : self._count]
            self._array = larger
        self._array[:, self._count : stop] = piece
        self._count = stop

    @property
    def array(self) -> NDArray[Any]:
        """All that came."""
        return self._array[:, : self._count]
