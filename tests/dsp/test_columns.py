"""Columns that come piece by piece are those that came."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.columns import Columns


@pytest.mark.parametrize("expected", [0, 1, 99, 100, 101, 1000])
def test_columns_are_those_that_came(expected: int) -> None:
    """More or fewer than were expected."""
    wanted = np.arange(300, dtype=np.float32).reshape(3, 100)
    columns = Columns(3, np.float32, expected)
    assert columns.array.shape == (3, 0)
    for piece in np.array_split(wanted, 7, axis=1):
        columns.add(piece)
    np.testing.assert_array_equal(columns.array, wanted)
