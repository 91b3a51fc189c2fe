"""What the example programs share: options, timing, and the comparison with NumPy.

An example's numerical functions use the module's global name `np` and nothing else of ours. `numpy_twin` loads the
same source file once more and binds that name to NumPy, so that both runs execute the same text.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy

import legate

Result = Any  # an array, a number, or a tuple of them
Compare = Callable[[Result, Result], str]


@dataclass(frozen=True)
class Timing:
    """Seconds of the first call (kernels are compiled in it) and of the quickest one."""

    first: float
    best: float


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every example has."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare the result with NumPy's")
    parser.add_argument("--compare", action="store_true", help="print NumPy's time as well")
    parser.add_argument(
        "--repeat", type=int, default=3, help="timed runs; the first and the best are printed"
    )
    return parser


def numpy_twin(function: Callable[..., Result]) -> Callable[..., Result]:
    """The same function from a second copy of its module, in which `np` is NumPy."""
    assert isinstance(function, FunctionType)
    path = Path(function.__code__.co_filename)
    name = f"{path.stem}_with_numpy"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look their module up
    spec.loader.exec_module(module)
    vars(module)["np"] = numpy
    twin: Callable[..., Result] = getattr(module, function.__name__)
    return twin


def timed(function: Callable[..., Result], args: Sequence[Any], repeat: int) -> tuple[Result, Timing]:
    """The result and the seconds of `repeat` calls; the fence makes sure that everything has been computed."""
    seconds = []
    result = None
    for _ in range(max(1, repeat)):
        start = time.perf_counter()
        result = function(*args)
        legate.fence()
        seconds.append(time.perf_counter() - start)
    return result, Timing(seconds[0], min(seconds))


def leaves(result: Result) -> Iterator[numpy.ndarray]:
    """The arrays and numbers of a result, as NumPy arrays."""
    if isinstance(result, tuple):
        for part in result:
            yield from leaves(part)
    else:
        yield numpy.asarray(result)


def close(rtol: float = 1e-9, atol: float = 1e-12) -> Compare:
    """A comparison: equal shapes and dtypes, values within `rtol` of the array's largest magnitude, plus `atol`."""

    def compare(got: Result, expected: Result) -> str:
        worst = 0.0
        for a, b in zip(leaves(got), leaves(expected), strict=True):
            if (a.shape, a.dtype) != (b.shape, b.dtype):
                raise SystemExit(f"check failed: {a.dtype}{a.shape} instead of {b.dtype}{b.shape}")
            scale = float(numpy.max(numpy.abs(b), initial=0.0))
            error = (
                float(numpy.max(numpy.abs(a - b), initial=0.0)) if a.dtype != bool else float((a != b).any())
            )
            if not error <= rtol * scale + atol:
                raise SystemExit(f"check failed: off by {error:.3g} where values reach {scale:.3g}")
            worst = max(worst, error / scale if scale else error)
        return f"equal to NumPy's (largest relative difference {worst:.1e})"

    return compare


def mostly_equal(fraction: float) -> Compare:
    """A comparison for discrete results of chaotic iterations: at most `fraction` of the elements may differ."""

    def compare(got: Result, expected: Result) -> str:
        different = max(float(numpy.mean(a != b)) for a, b in zip(leaves(got), leaves(expected), strict=True))
        if different > fraction:
            raise SystemExit(f"check failed: {different:.3%} of the elements differ")
        return f"equal to NumPy's but for {different:.3%} of the elements"

    return compare


def run(
    function: Callable[..., Result],
    args: Sequence[Any],
    options: argparse.Namespace,
    report: Callable[[Result], str],
    compare: Compare | None = None,
) -> Result:
    """Run, time, report and, as the options ask, check against NumPy and print its time.

    `report` gives the line that shows the result. Raises SystemExit with a message when the check fails.
    """
    result, ours = timed(function, args, options.repeat)
    print(report(result))
    first = "" if options.repeat < 2 else f"   (first run, compilation included: {ours.first:.4f} s)"
    print(f"  cupynumeric {ours.best:10.4f} s{first}")
    if options.check or options.compare:
        expected, numpys = timed(numpy_twin(function), args, options.repeat if options.compare else 1)
        if options.compare:
            print(f"  numpy       {numpys.best:10.4f} s   {numpys.best / ours.best:.1f} times ours")
        if options.check:
            print(f"  check: {(compare or close())(result, expected)}")
    return result
