"""The benchmark suite is right before it is fast: each kernel agrees with NumPy, and the report counts correctly."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ranks, report, scaling
from benchmarks.kernels import SUITE
from benchmarks.machine import Limits
from benchmarks.measure import Row, difference, start
from benchmarks.peers import OURS, PEERS
from benchmarks.suite import Kernel
from tests.ranks.launch import needs_mpi

LIMITS = Limits(bandwidth=1e9, gemm={4: 1e9, 8: 1e9})


@pytest.mark.parametrize("name", SUITE)
@pytest.mark.parametrize("nominal", [1_000, 30_000])
def test_kernel_agrees_with_numpy(name: str, nominal: int) -> None:
    kernel = SUITE[name]
    data = kernel.setup(kernel.scaled(nominal))
    before = [each.copy() if isinstance(each, np.ndarray) else each for each in data]
    expected = kernel.run(np, *data)
    row = Row(kernel, nominal, OURS)
    call = start(row, PEERS[OURS], data, expected)
    assert call is not None, row.failure
    assert difference(kernel, call(), expected) == "", "second call"
    for old, new in zip(before, data, strict=True):
        np.testing.assert_array_equal(old, new, "a kernel must leave its data alone")


def test_the_suite_has_its_two_groups() -> None:
    assert len(SUITE) == 30
    assert sum(kernel.fused for kernel in SUITE.values()) == 16


def rows() -> list[Row]:
    kernel = SUITE["saxpy"]
    return [
        Row(kernel, 100, "numpy", first=0.5, samples=[4.0, 2.0, 3.0]),
        Row(kernel, 100, OURS, first=2.0, samples=[1.0, 1.0, 0.5]),
        Row(kernel, 100, "numba", failure="TypeError: no"),
    ]


def test_speedups_are_ratios_of_medians() -> None:
    by_peer = report.cases(rows())["saxpy", 100]
    assert report.speedup(by_peer, OURS) == 3.0
    assert math.isnan(report.speedup(by_peer, "numba"))
    assert math.isnan(report.speedup(by_peer, "jax"))
    assert report.share(by_peer[OURS], LIMITS) == pytest.approx(12 * 100 / 0.5 / 1e9)


def test_geometric_mean_ignores_what_is_missing() -> None:
    assert report.geometric_mean([2.0, 8.0, math.nan]) == (pytest.approx(4.0), 2)
    assert report.geometric_mean([])[1] == 0


def test_table_csv_and_failures(tmp_path: Path) -> None:
    peers = ["numpy", OURS, "numba"]
    assert "saxpy" in report.table(rows(), peers, LIMITS)
    assert "cupynumeric 3.00 (1)" in report.means(rows(), peers)
    assert report.failures(rows()) == "failed: numba saxpy n=100: TypeError: no"
    report.write_csv(rows(), tmp_path / "out.csv", LIMITS)
    with (tmp_path / "out.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["peer"] for line in lines] == peers
    assert float(lines[1]["speedup"]) == 3.0


def test_wrong_results_are_found() -> None:
    kernel = Kernel("k", "elementwise", lambda np: 0, lambda n: ())
    x = np.array([1.0, 2.0])
    assert difference(kernel, x, x) == ""
    assert "shape" in difference(kernel, x[:1], x)
    assert "off by" in difference(kernel, x + 1e-3, x)
    assert "off by" in difference(kernel, np.array([1.0, np.nan]), x)
    assert "results" in difference(kernel, (x, x), x)


def test_ranks_are_compared_with_one() -> None:
    """Both contenders run the same programs in jobs of their own, and messages are counted."""
    needs_mpi()
    names = ["saxpy", f"sweeps {ranks.ROWS}"]
    one = ranks.contender(ranks.ONE, names, 1_000_000, 1)
    two = ranks.contender(ranks.TWO, names, 1_000_000, 1)
    assert list(one) == list(two) == names
    assert all(f.seconds > 0 and not f.messages for f in one.values())
    halo = two[names[1]]
    assert ranks.SWEEPS <= halo.messages < 1.2 * ranks.SWEEPS  # one to the other rank for each sweep
    assert halo.nbytes >= 8 * ranks.COLUMNS * ranks.SWEEPS
    found = ranks.least([one, {**one, "saxpy": ranks.Figure(0.0, 1, 2)}])
    assert found["saxpy"].seconds == 0.0 and found[names[1]] == one[names[1]]


def test_scaling_counts_what_grows() -> None:
    """A program on one simulated rank and on sixteen: the same share of memory, halos, a little less than all of the speed."""
    one, many = (scaling.simulated("jacobi", ranks) for ranks in (1, 16))
    assert (one.side, many.side) == (2000, 8000)
    assert (one.sent, one.messages) == (0, 0) and many.sent > 100 * 8 * 4000
    assert one.memory <= many.memory < 1.1 * one.memory
    assert 0.5 < scaling.efficiency("jacobi", one, many) < 1.0
    lines = scaling.table("jacobi", [one, many]).splitlines()
    assert lines[4].startswith("| 1 | 2000² |") and "| 100% |" in lines[4]


def test_work_that_grows_faster_than_memory_is_no_loss() -> None:
    def point(ranks: int, side: int, seconds: float) -> scaling.Point:
        return scaling.Point(ranks, side, 0, 0, 0, seconds, 0.0)

    assert scaling.efficiency("matmul", point(1, 100, 1.0), point(4, 200, 2.0)) == 1.0
    assert scaling.efficiency("jacobi", point(1, 100, 1.0), point(4, 200, 2.0)) == 0.5
