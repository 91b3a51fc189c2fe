"""Input that is meant to do harm: pickles, names, sizes and texts end in errors or in values, never in code."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults.child import run

import cupynumeric as cn
from legate_jit import runtime


class _Bomb:
    """A pickle that would create a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_load_refuses_pickles(tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    objects = np.empty(1, object)
    objects[0] = _Bomb(harm)
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "objects.npz", a=objects)
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(_Bomb(harm)))
    with pytest.raises(ValueError, match="allow_pickle"):
        cn.load(tmp_path / "objects.npy")
    with pytest.raises(ValueError, match="allow_pickle"):
        cn.load(tmp_path / "bare.npy")
    with pytest.raises(ValueError, match="allow_pickle"):
        cn.load(tmp_path / "objects.npz")["a"]
    assert not harm.exists()


def test_damaged_array_files() -> None:
    good = io.BytesIO()
    np.save(good, np.arange(5.0))
    data = good.getvalue()
    for bad in (data[:-3], data[:20], b"\x93NUMPY" + b"\xff" * 200, b""):
        with pytest.raises((ValueError, EOFError, OSError)):
            cn.load(io.BytesIO(bad))


@pytest.mark.parametrize(
    "text", ["f8" * 100_000, "os.system('true')", "f8; drop", "(" * 10_000, "f" + "9" * 5000]
)
def test_texts_as_dtypes(text: str) -> None:
    with pytest.raises(Exception) as expected:
        np.zeros(3, text)
    with pytest.raises(type(expected.value)):
        cn.zeros(3, text)
    with pytest.raises(type(expected.value)):
        cn.ones(3).astype(text)


@pytest.mark.parametrize("value", [float("nan"), -0.0, float("inf"), 5e-324, 2**63 - 1, -(2**63), 1e308, 0.1])
def test_constants_go_by_value(value: float) -> None:
    """Bit for bit, whatever their repr is."""
    got = np.asarray(cn.zeros(2, type(value)) + value)
    assert got.tobytes() == (np.zeros(2, type(value)) + value).tobytes()
    whole = np.asarray(cn.full(2, value))
    assert whole.tobytes() == np.full(2, value).tobytes()


def test_numbers_that_lie_about_themselves() -> None:
    """Subclasses of Python's numbers with a repr, an index or a hash of their own."""

    class Liar(float):
        def __repr__(self) -> str:
            raise AssertionError("asked for text")

        __str__ = __repr__

        def __hash__(self) -> int:
            return 0

    class Index(int):
        def __index__(self) -> int:
            return 10**9

    assert (cn.ones(3) * Liar(2.5)).tolist() == [2.5] * 3
    assert cn.arange(5.0)[Index(2)] == np.arange(5.0)[Index(2)]


def test_lens_out_of_bounds_is_refused_when_recorded() -> None:
    x = cn.arange(10.0)
    for key in (10, -11, (0, 0), [3, 99], (slice(None), slice(None))):
        with pytest.raises(IndexError):
            x[key]
        with pytest.raises(IndexError):
            x[key] = 1
    with pytest.raises((ValueError, IndexError)):
        cn.take(x, [4, 10])
    runtime.fence()
    assert x.tolist() == list(range(10))


def test_file_and_environment_names_reach_no_shell(tmp_path: Path) -> None:
    folder = tmp_path / "a; touch harm $(touch harm) `touch harm`"
    done = run(
        """
        import os
        os.chdir(os.environ["PLACE"])
        import cupynumeric as np
        from legate_jit.running import tiers
        tiers.policy.interpret_runs = 0
        print(float((np.ones(5) * 2).sum()))
        """,
        LEGATE_JIT_CACHE_DIR=str(folder),
        PLACE=str(tmp_path),
    )
    assert (done.returncode, done.stdout) == (0, "10.0\n"), done.stderr
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEGATE_JIT_TARGET", "gpu; rm"),
        ("LEGATE_JIT_DEBUG", "9"),
        ("LEGATE_JIT_TIER0", "maybe"),
        ("LEGATE_JIT_DUMP_IR", "everything"),
        ("LEGATE_JIT_THREADS", "-1"),
        ("LEGATE_JIT_THREADS", "many"),
        ("LEGATE_JIT_SPIN", "nan"),
        ("LEGATE_JIT_VECTOR_BYTES", "7"),
    ],
)
def test_wrong_settings_are_named(name: str, value: str) -> None:
    done = run(
        """
        import cupynumeric as np
        from legate_jit.running import tiers
        tiers.policy.interpret_runs = 0
        float((np.ones(5) * 2).sum())
        """,
        **{name: value},
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode != 0 and name in last and value in last, done.stderr
