"""Names that are not ours: NumPy's, with the documented warning; modules; the old package name; the coverage report; settings."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy
import pytest
from api.compare import same, settled

import cupynumeric as np
from cupynumeric import _caller

WARNING = (
    "cuPyNumeric has not implemented numpy.{name} and is falling back to canonical NumPy. You may notice significantly "
    "decreased performance for this function call.\n\nSet CUPYNUMERIC_FALLBACK_STACKTRACE=1 and re-run to include a full stack "
    "trace with this warning."
)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "2", **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)


def test_the_warning_names_the_function_and_the_users_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            found = np.polynomial.polynomial.polyval(np.arange(3), [1, 2])
            found = np.lib.scimath.sqrt(np.array([-1.0, 4.0]))
    assert isinstance(found, np.ndarray)
    same(numpy.lib.scimath.sqrt([-1.0, 4.0]), settled(found))
    assert len(caught) == 1
    assert caught[0].category is RuntimeWarning
    assert caught[0].filename == __file__
    assert str(caught[0].message) == WARNING.format(name="lib.scimath.sqrt")


def test_what_is_numpys_anyway_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.char.upper(np.array(["a"])).tolist() == ["A"]
        assert np.emath.sqrt(-1) == 1j
        assert np.ma.masked_array([1, 2], [0, 1]).sum() == 1
        for ours in (np.array([-1.0]), [[np.array([-1.0])]]):
            with pytest.raises(RuntimeWarning, match="scimath"):
                np.emath.sqrt(ours)


def test_floating_point_warnings_name_the_users_line() -> None:
    code = """import cupynumeric as np
m, out = np.ones((100, 8)), np.zeros((100, 8))
for i in range(100):
    out[i] = np.log(m[i] - 2)
for i in range(100):
    out[i] = m[i] / (m[i] - 1)
np.array([]).mean()
"""
    told = [line for line in run(code, PYTHONWARNINGS="").stderr.splitlines() if "Warning" in line]
    assert told == [
        "<string>:4: RuntimeWarning: invalid value encountered in log",
        "<string>:6: RuntimeWarning: divide by zero encountered in divide",
        "<string>:7: RuntimeWarning: Mean of empty slice",
    ]
    errors = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert errors.stderr.endswith("RuntimeWarning: invalid value encountered in log\n")


#: functions that warn, and whether NumPy names a line of its own instead of the program's
WARN = """
np.polyfit(np.ones(3), np.arange(3.0), 2)
np.polyfit(np.ones(3), np.ones((3, 2)), 2)
np.nanmedian(np.array([np.nan]))
np.cov(np.array([1.0]))
np.cross([1, 2], [3, 4])
np.row_stack([[1]])
np.histogram(np.array([True, False]))
np.loadtxt(io.StringIO(""))
np.genfromtxt(io.StringIO("1 2\\n3\\n"), invalid_raise=False)
np.fft.irfftn(np.ones((2, 2)), s=(2,))
np.random.multivariate_normal([0, 0], [[1, 2], [2, 1]])
np.random.default_rng(0).multivariate_normal([0, 0], [[1, 2], [2, 1]])
np.array([1j, 2]).astype("i4")
np.zeros(2).__setitem__(slice(None), np.array([1j, 2j]))
np.zeros(2).__setitem__(0, np.array(1j))
np.copyto(np.ones(2), np.array([1j, 2]), casting="unsafe")
np.add(np.array([1j]), 1, dtype=float, casting="unsafe")
float(np.array([1j]).sum())
np.sqrt(np.array([4.0]), where=np.array([False]))
np.array([1.0]).var(ddof=2)
np.log(0)
np.sqrt(-1)
np.divide(1, 0)
"""
#: of these NumPy names its own lines
INSIDE = """
np.array([1j]).sum(dtype=float)
np.cumsum(np.array([1j]), dtype=float)
np.full(2, 1j, dtype=float)
np.mean(np.array([]))
np.array([]).std()
"""


def warned(source: str, np: Any) -> list[tuple[type[Warning], str, str]]:
    code = compile(f"r = {source}\nif isinstance(r, np.ndarray):\n    r.tolist()", "program.py", "exec")
    names = {"np": np, "io": io, "__name__": "__main__"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()  # pytest's
        warnings.filters.insert(0, _caller.FILTER)
        exec(code, names)
    told = [(w.category, re.sub(" at 0x[0-9a-f]+", "", str(w.message)), w.filename) for w in caught]
    return [w for w in told if "_methods.py" not in w[2] and "_impl.py" not in w[2]]  # of NumPy's inner steps


@pytest.mark.parametrize("source", WARN.strip().splitlines())
def test_warnings_name_the_users_line(source: str) -> None:
    try:
        expected = warned(source, numpy)
    except (AttributeError, ValueError):
        pytest.skip("deprecated no longer, but gone from this NumPy")
    assert expected
    assert warned(source, np) == expected
    assert all(line == "program.py" for _, _, line in expected)


@pytest.mark.parametrize("source", INSIDE.strip().splitlines())
def test_warnings_that_numpy_gives_lines_of_its_own(source: str) -> None:
    (told,) = warned(source, np)
    assert told[2] == "program.py"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        eval(source, {"np": numpy})
    assert told[:2] in [(w.category, str(w.message)) for w in caught]


def test_filters_asked_in_pythons_order() -> None:
    """And warnings of others are as they were."""
    code = """import sys
sys.modules["_warnings"] = None  # warnings.py then does it all in Python
import warnings
import cupynumeric as np
x = np.ones(3)
np.polyfit(x, x, 2)
np.polyfit(x, x, 2)
warnings.warn("one", FutureWarning)
np.fft.irfftn(np.ones((2, 2)), s=(2,))
"""
    told = [line for line in run(code, PYTHONWARNINGS="").stderr.splitlines() if "Warning" in line]
    assert [line.partition(": ")[2].partition(":")[0] for line in told] == [
        "RankWarning",
        "RankWarning",
        "FutureWarning",
        "DeprecationWarning",
    ]
    assert [line.split(":")[1] for line in told] == ["6", "7", "8", "9"]


def test_stack_traces_on_request() -> None:
    code = "import cupynumeric as np\ndef inner(): np.emath.sqrt(np.array([-1]))\ninner()"
    done = run(code, CUPYNUMERIC_FALLBACK_STACKTRACE="1")
    assert "has not implemented numpy.lib.scimath.sqrt" in done.stderr
    assert "in inner" in done.stderr


def test_nested_arguments_and_results() -> None:
    parts = np.apply_along_axis(sorted, 0, [np.array([3, 1]), np.array([2, 5])])
    assert parts.tolist() == [[2, 1], [3, 5]]
    assert isinstance(parts, np.ndarray)


def test_every_numpy_name_is_there() -> None:
    for name in dir(numpy):
        if not name.startswith("_"):
            getattr(np, name)
            assert name in dir(np)
    for module in (
        "linalg",
        "fft",
        "random",
        "ma",
        "polynomial",
        "testing",
        "lib",
        "char",
        "strings",
        "rec",
        "emath",
    ):
        ours, theirs = getattr(np, module), getattr(numpy, module)
        for name in getattr(theirs, "__all__", dir(theirs)):
            if not name.startswith("_"):
                getattr(ours, name)


def test_constants_classes_and_state_are_numpys() -> None:
    assert np.float32 is numpy.float32
    assert np.errstate is numpy.errstate
    assert np.dtype is numpy.dtype
    assert np.exceptions.AxisError is numpy.exceptions.AxisError
    assert np.linalg.LinAlgError is numpy.linalg.LinAlgError
    assert np.pi == numpy.pi
    with np.printoptions(precision=2):
        assert str(np.array([1 / 3])) == "[0.33]"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = np.nonsense


def test_modules_can_be_imported() -> None:
    import cupynumeric.lib.stride_tricks
    import cupynumeric.ma as ma
    from cupynumeric.lib.stride_tricks import sliding_window_view
    from cupynumeric.polynomial import Polynomial
    from cupynumeric.testing import assert_allclose

    assert cupynumeric.lib.stride_tricks is np.lib.stride_tricks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masked = ma.masked_array(np.arange(3), mask=[0, 1, 0])
        assert masked.sum() == 2
        assert sliding_window_view(np.arange(5), 3).tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert Polynomial([1, 2])(np.arange(3)).tolist() == [1, 3, 5]
    assert_allclose(np.arange(3), [0, 1, 2])
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(np.arange(3), [0, 1, 3])


def test_the_old_name_is_the_same_package() -> None:
    code = (
        "import cunumeric as np, cupynumeric, cunumeric.linalg, cunumeric.ma\n"
        "from cunumeric.random import default_rng\n"
        "from cunumeric import ndarray\n"
        "assert np.linalg is cupynumeric.linalg and ndarray is cupynumeric.ndarray\n"
        "assert isinstance(np.arange(3), cupynumeric.ndarray)\n"
        "assert cunumeric.ma is cupynumeric.ma\n"
        "print('same')"
    )
    assert run(code).stdout == "same\n"


COVERED = """
import cupynumeric as np
x = np.arange(4)
y = np.sqrt(x) + x
z = y.sum()
w = np.lib.scimath.sqrt(x)
"""


def test_coverage_report(tmp_path: Path) -> None:
    table = tmp_path / "coverage.csv"
    done = run(COVERED, CUPYNUMERIC_REPORT_COVERAGE="1", CUPYNUMERIC_REPORT_DUMP_CSV=str(table))
    lines = table.read_text().splitlines()
    assert lines[0] == "function_name,location,implemented"
    assert "numpy.lib.scimath.sqrt,<string>:6,False" in lines
    assert "numpy.arange,<string>:3,True" in lines
    assert "numpy.sqrt,<string>:4,True" in lines
    assert "numpy.ndarray.sum,<string>:5,True" in lines
    total = len(lines) - 1
    assert done.stdout == f"cuPyNumeric API coverage: {total - 1}/{total} ({(total - 1) / total * 100}%)\n"
    assert "falling back" not in done.stderr


def test_coverage_report_of_nothing() -> None:
    done = run("import cupynumeric", CUPYNUMERIC_REPORT_COVERAGE="1")
    assert done.stdout == "cuPyNumeric API coverage: 0/0\n"


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from cupynumeric.settings import Settings

    settings: Any = Settings()
    assert settings.warn() is False
    assert settings.min_gpu_chunk() == 65536
    monkeypatch.setenv("CUPYNUMERIC_WARN", "yes")
    assert settings.warn() is True
    settings.warn = False
    assert settings.warn() is False
    with pytest.raises(AttributeError):
        settings.fast_math = True
    monkeypatch.setenv("CUPYNUMERIC_DOCTOR", "maybe")
    with pytest.raises(ValueError, match='unknown boolean value "maybe"'):
        settings.doctor()


def test_importing_is_quick() -> None:
    """No part that only some programs need is imported with the package."""
    code = (
        "import numpy, sys; before = set(sys.modules)\n"
        "import cupynumeric\n"
        "print(' '.join(sorted({m.split('.')[0] for m in set(sys.modules) - before})))"
    )
    loaded = run(code).stdout.split()
    assert not {"numba", "scipy", "networkx", "matplotlib", "pandas"} & set(loaded)
