"""Starting costs next to nothing: what `match --help` and the package doors load."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "scipy", "librosa", "sklearn", "soundfile", "soxr", "pyloudnorm", "rich", "matplotlib")


START = "import sys; sys.argv = ['match', {}]\nfrom matcher.cli import main\ntry: main()\nexcept SystemExit: pass"


LIGHT = ("'--help'", "'--version'", "'analyze', '--help'", "'render', '--help'", "'a.wav', '--help'")


@pytest.mark.parametrize("code", ["import matcher", *(START.format(words) for words in LIGHT)])
def test_loads_nothing_heavy(code: str) -> None:
    """Neither the numeric packages nor the compiled kernels."""
    loaded = modules_after(code)
    assert "matcher" in loaded
    assert not [n for n in loaded if n.split(".")[0] in HEAVY or n.startswith(("dsp.kernels", "dsp.effects"))]


def modules_after(code: str) -> set[str]:
    """What a fresh Python has loaded after running `code`."""
    ask = "import sys; print('LOADED', *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{ask}"], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_a_match_loads_no_slow_library() -> None:
    """librosa, scikit-learn, pyloudnorm and most of SciPy are not on the path of a plain match."""
    slow = {"librosa", "sklearn", "pyloudnorm", "scipy.signal", "scipy.optimize", "scipy.interpolate", "numba"}
    unused = {"scipy.special", "numpy.f2py", "numpy.testing", "email"}
    assert not modules_after("import matcher.matching") & (slow | unused)


def test_what_is_left_out_while_scipy_loads_is_there_afterwards() -> None:
    """NumPy lists all its names again, and loads each when it is asked for."""
    code = (
        "import numpy as np; listed = dir(np), list(np.__all__)\n"
        "import dsp.transforms\n"
        "assert set(dir(np)) >= set(listed[0]) and np.__all__ == listed[1]\n"
        "assert 'numpy.testing' not in __import__('sys').modules\n"
        "from numpy import *\n"
        "assert testing.assert_allclose and f2py.run_main and ma.masked_array"
    )
    assert "numpy.f2py" in modules_after(code)


def test_what_waits_for_the_special_functions_gets_them() -> None:
    """The logarithmic transforms work as in a SciPy that was loaded whole, and so does the module itself."""
    asked = (
        "import numpy as np, sys\nfrom {} import fft\n"
        "print([float(x) for x in fft.fht(np.exp(-np.linspace(0.0, 3.0, 64)), 0.1, 0.5)])\n"
        "import scipy.special\nprint(float(scipy.special.loggamma(2.5)), sys.modules['scipy.special'].__file__)"
    )
    ours, whole = (
        subprocess.run([sys.executable, "-c", asked.format(name)], capture_output=True, text=True, check=True).stdout
        for name in ("dsp.transforms", "scipy")
    )
    assert ours == whole
