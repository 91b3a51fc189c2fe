"""Random programs whose tapes must be the same whether machine code records them or Python; run by test_recording.

A process of its own, because methods are put back for good where a second thread starts.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cupynumeric as np
from cupynumeric._array import ndarray
from legate_jit import recording, runtime
from legate_jit.running import tiers

SHAPES = [(4, 6), (6,), (4, 1), (3, 4, 6), (), (0, 6)]
DTYPES = ["f8", "i4", "?", "f4", "u1", "c16"]
SCALARS = [2.5, 3, -1, 2**40, True, 1j, numpy.float64(1.5), numpy.int16(7), float("nan"), None, "x"]
BOUNDS = st.one_of(st.none(), st.integers(-7, 7), st.sampled_from([numpy.int64(2), 1.0, True]))
ELEMENTS = st.one_of(
    st.builds(slice, BOUNDS, BOUNDS, st.sampled_from([None, 1, 2, -1, 0])),
    st.integers(-5, 5),
    st.sampled_from([None, Ellipsis, numpy.int64(1), True]),
)
KEYS = st.one_of(
    ELEMENTS, st.tuples(), st.tuples(ELEMENTS), st.tuples(ELEMENTS, ELEMENTS), st.tuples(*[ELEMENTS] * 3)
)
OPERATORS = [
    f"__{side}{name}__"
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "and", "or", "xor", "lshift")
    for side in ("", "r", "i")
] + ["__lt__", "__ge__", "__eq__", "__ne__"]
UFUNCS = [
    np.sqrt,
    np.exp,
    np.negative,
    np.isnan,
    np.add,
    np.maximum,
    np.power,
    np.floor_divide,
    np.less,
    np.modf,
]
FORMS: list[Callable[[Any, Any, Any], Any]] = [
    lambda f, x, y: f(x),
    lambda f, x, y: f(x, y),
    lambda f, x, y: f(x, 2.5),
    lambda f, x, y: f(3, y),
    lambda f, x, y: f(x, dtype="f8"),
    lambda f, x, y: f(x, out=y),
    lambda f, x, y: f(x, y, x),
    lambda f, x, y: f(),
    lambda f, x, y: f(x, y, where=True),
    lambda f, x, y: f(x, unknown=1),
]
STEP = st.one_of(
    st.tuples(st.just("apply"), st.sampled_from(OPERATORS), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("scalar"), st.sampled_from(OPERATORS), st.integers(0, 9), st.sampled_from(SCALARS)),
    st.tuples(
        st.just("unary"), st.sampled_from(["__neg__", "__abs__", "__invert__", "__pos__"]), st.integers(0, 9)
    ),
    st.tuples(
        st.just("ufunc"),
        st.sampled_from(UFUNCS),
        st.integers(0, 9),
        st.integers(0, 9),
        st.sampled_from(FORMS),
    ),
    st.tuples(st.just("view"), st.integers(0, 9), KEYS),
    st.tuples(st.just("set"), st.integers(0, 9), KEYS, st.integers(0, 9)),
    st.tuples(st.just("fill"), st.integers(0, 9), KEYS, st.sampled_from(SCALARS)),
    st.tuples(st.just("forget"), st.integers(0, 9)),
)


def perform(arrays: list[Any], step: tuple[Any, ...]) -> Any:
    """Carry out one step; what it makes is added to the arrays."""

    def pick(k: int) -> Any:
        return arrays[k % len(arrays)]

    match step:
        case ("apply", name, i, j):
            arrays.append(getattr(ndarray, name)(pick(i), pick(j)))
        case ("scalar", name, i, scalar):
            arrays.append(getattr(ndarray, name)(pick(i), scalar))
        case ("unary", name, i):
            arrays.append(getattr(ndarray, name)(pick(i)))
        case ("ufunc", function, i, j, form):
            arrays.append(form(function, pick(i), pick(j)))
        case ("view", i, key):
            arrays.append(pick(i)[key])
        case ("set", i, key, j):
            pick(i)[key] = pick(j)
        case ("fill", i, key, scalar):
            pick(i)[key] = scalar
        case ("forget", i) if len(arrays) > 4:
            del arrays[i % len(arrays)]
    if type(arrays[-1]) is not ndarray:
        arrays.pop()


def outcome(program: list[Any], starts: list[tuple[tuple[int, ...], str]]) -> list[Any]:
    """What a program appends to the window step by step, what it makes, and the errors it raises."""
    runtime.flush()
    arrays = [np.ones(shape, dtype) for shape, dtype in starts]
    runtime.flush()
    seen: list[Any] = []
    for step in program:
        try:
            perform(arrays, step)
            error = None
        except Exception as e:  # compared
            error = (type(e), str(e))
        w = runtime.window
        made = [(a._type, a._lens, a._key, a._locked, a._store.value, a._store.type) for a in arrays]
        seen.append((list(w.code), [repr(s) for s in w.scalars], w.n, len(w.stores), made, error))
    return seen  # nobody refers to the arrays any more: the next flush runs nothing


def swapped(methods: dict[tuple[type, str], Any]) -> None:
    """Give the classes these methods."""
    for (cls, name), method in methods.items():
        setattr(cls, name, method)


def main(examples: int) -> None:
    """Compare that many programs; AssertionError where the tapes differ."""
    warnings.simplefilter("ignore")
    numpy.seterr(all="ignore")
    tiers.policy.interpret_runs = 0  # nothing is computed at once, which depends on what was done before
    x = np.ones((300, 300))
    for _ in range(4):  # something that is compiled
        x = (x + 1.0) * 0.5
        runtime.fence()
    assert recording.active()
    python = {(cls, name): method for cls, name, method in recording._replaced}
    native = {(cls, name): vars(cls)[name] for cls, name in python}
    assert not any(hasattr(method, "__code__") for method in native.values())

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(
        st.lists(STEP, max_size=14),
        st.lists(st.tuples(st.sampled_from(SHAPES), st.sampled_from(DTYPES)), min_size=2, max_size=3),
    )
    def same(program: list[Any], starts: list[Any]) -> None:
        swapped(python)
        outcome(program, starts)  # the first time signatures are made: by Python in any case
        expected = outcome(program, starts)
        swapped(native)
        assert outcome(program, starts) == expected

    same()
    unmade()
    print("compared", examples)


def unmade() -> None:
    """The usual case does not enter Python's methods, and no reference is lost or kept."""
    a, b = np.ones((50, 60)), np.ones((50, 60))

    def work() -> Any:
        c = a[1:-1, 2:] * 2.5 + 1 - b[1:-1, :-2] / a[2:, 2:]
        a[1:-1, 1] = c[:, 0]
        a[3:5] = 0.5
        c += 1.5
        c[2:] -= 0.25
        d = -c
        e = np.sqrt(np.maximum(d, 0.5)) + np.add(d, d).sum(axis=1, keepdims=True)
        return e[None, ..., 0] < 3.0

    for _ in range(5):
        kept = work()
        runtime.fence()
    calls: list[str] = []

    def watch(frame: Any, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_filename.endswith(
            ("_array.py", "_elementwise.py", "_indexing.py")
        ):
            calls.append(frame.f_code.co_name)

    sys.setprofile(watch)
    kept = work()
    sys.setprofile(None)
    assert calls == [], calls
    del kept
    counts: Callable[[], list[int]] = lambda: [  # noqa: E731
        sys.getrefcount(thing)
        for thing in (
            a._type,
            a._type.dtype,
            ndarray,
            runtime.Store,
            a._store,
            runtime.window.code.__class__,
            work,
        )
    ]
    runtime.fence()
    before, blocks = counts(), sys.getallocatedblocks()
    for _ in range(200):
        work()
        runtime.fence()
    after = counts()
    assert sys.getallocatedblocks() - blocks < 2000
    assert max(abs(x - y) for x, y in zip(before, after, strict=True)) < 50, (before, after)


if __name__ == "__main__":
    main(int(sys.argv[1]))
