"""Sorting over ranks: the algorithms on ranks that are threads, and programs whose arrays are dealt out; answers are NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from legate_jit.collectives import counting, messages, searching, sorting, uniques
from legate_jit.collectives.splitting import splits
from legate_jit.collectives.tiles import edges, rebalanced
from legate_jit.comm.threads import ThreadComm, run_ranks

SIZES = [1, 2, 3, 4, 7]
DTYPES = ["f8", "f4", "f2", "c16", "c8", "i8", "i4", "i1", "u1", "u8", "?"]


def values(dtype: str, n: int, seed: int = 0) -> np.ndarray:
    """Some numbers of a type, hardly any twice (but for small types)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n) * 1000
    if np.dtype(dtype).kind == "c":
        return (x.round(-2) + 1j * rng.standard_normal(n)).astype(dtype)
    return x.astype("i8").astype(dtype) if np.dtype(dtype).kind in "iu" else x.astype(dtype)


def with_nan(x: np.ndarray) -> np.ndarray:
    x[::3] = np.nan
    if x.dtype.kind == "c":
        x[1::4] = complex(1, np.nan)
    return x


SPREADS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "any": lambda x: x,
    "few": lambda x: x[np.arange(len(x)) % 7 // 2],
    "equal": np.zeros_like,
    "sorted": lambda x: np.sort(x, kind="stable"),
    "reversed": lambda x: np.sort(x, kind="stable")[::-1],
}


def on_ranks(x: np.ndarray, size: int, program: Callable[[ThreadComm, np.ndarray], Any]) -> list[Any]:
    """What every rank makes of its tile of x."""
    ends = edges(len(x), size)
    return run_ranks(size, lambda comm: program(comm, x[ends[comm.rank] : ends[comm.rank + 1]]))


def tiles_of(found: list[np.ndarray], n: int) -> np.ndarray:
    """The array whose even tiles the ranks have."""
    assert [len(f) for f in found] == np.diff(edges(n, len(found))).tolist()
    return np.concatenate(found)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spread", SPREADS)
def test_sorting_parts(size: int, dtype: str, spread: str) -> None:
    for n in (0, 1, size - 1, size, size + 1, 50, 1500):
        x = SPREADS[spread](values(dtype, n))
        for y in (x, with_nan(x.copy())) if x.dtype.kind in "fc" else (x,):
            found = on_ranks(y, size, lambda comm, p: (sorting.sort(comm, p), sorting.argsort(comm, p)))
            sorted_, places = (tiles_of([f[k] for f in found], n) for k in (0, 1))
            np.testing.assert_array_equal(sorted_, np.sort(y, kind="stable"))
            np.testing.assert_array_equal(places, np.argsort(y, kind="stable"))
            assert (sorted_.dtype, places.dtype) == (y.dtype, np.int64)


@pytest.mark.parametrize("size", SIZES)
def test_runs_are_cut_exactly(size: int) -> None:
    """Wherever, though most values are the same, some runs are empty and one is long."""
    rng = np.random.default_rng(size)
    lengths = [0 if k == 1 else 3000 if k == size - 1 else 40 for k in range(size)]
    runs = [np.sort(rng.integers(0, 3, n) * 1.0) for n in lengths]
    whole = np.sort(np.concatenate(runs))
    places = np.array([0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 1, len(whole), len(whole)])
    found = run_ranks(size, lambda comm: splits(comm, runs[comm.rank], places))
    total = sum(cuts.before for cuts in found)
    assert total.tolist() == places.tolist()
    inside = places < len(whole)
    for cuts in found:
        np.testing.assert_array_equal(cuts.values[inside], whole[places[inside]])


def test_few_rounds_are_needed() -> None:
    """Of samples, by ranks that hold alike values."""
    rounds: list[int] = []

    def program(comm: ThreadComm) -> None:
        run = np.sort(values("f8", 50_000, comm.rank))
        before = comm.traffic.collectives
        splits(comm, run, np.arange(1, 8) * 50_000)
        rounds.append((comm.traffic.collectives - before) // 3)

    run_ranks(8, program)
    assert max(rounds) <= 8


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spread", SPREADS)
def test_sorting_moves_every_element_once(size: int, spread: str) -> None:
    x = SPREADS[spread](values("f8", 70_000))

    def program(comm: ThreadComm, part: np.ndarray) -> int:
        sorting.sort(comm, part)
        return comm.traffic.nbytes

    share = x.nbytes * (size - 1) / size if size > 1 else 0
    assert sum(on_ranks(x, size, program)) <= 1.05 * share + 300_000 * (size > 1)


@pytest.mark.parametrize("size", [7])
@pytest.mark.parametrize("spread", SPREADS)
def test_nobody_gets_more_than_its_share(monkeypatch: pytest.MonkeyPatch, size: int, spread: str) -> None:
    """What arrives at a rank in any one exchange, whatever the values; and there is no other way to get elements."""
    x = SPREADS[spread](values("f8", 70_000))
    most = [0]
    traded, fetch = messages._traded, ThreadComm.fetch

    def watched(comm: Any, leaving: Any, arriving: Any) -> None:
        most.append(sum(a.nbytes for a in arriving))
        traded(comm, leaving, arriving)

    def watched_fetch(comm: ThreadComm, *args: Any, **kwargs: Any) -> np.ndarray:
        found = fetch(comm, *args, **kwargs)
        most.append(found.nbytes)
        return found

    monkeypatch.setattr(messages, "_traded", watched)
    monkeypatch.setattr(ThreadComm, "fetch", watched_fetch)
    share = x.nbytes / size
    for program in PROGRAMS:
        most[:] = [0]
        on_ranks(x, size, program)
        assert 0 < max(most) <= 2.1 * share + 8 * size * size, program


PROGRAMS: list[Callable[[Any, np.ndarray], Any]] = [
    sorting.sort,
    sorting.argsort,
    lambda comm, part: sorting.standing(comm, part, np.array([0, 35_000])),
    lambda comm, part: uniques.unique(comm, part, True, True, True),
    lambda comm, part: uniques.sets(comm, part, part[::2], "setxor1d"),
    lambda comm, part: uniques.isin(comm, part, part * 2),
    lambda comm, part: searching.search(comm, np.arange(len(part)) + comm.rank * 1e6, part, "left"),
    lambda comm, part: counting.bincount(comm, np.arange(len(part))),
    lambda comm, part: counting.bincount(
        comm, np.arange(len(part)) + (part > 1e9) + 100_000 * (comm.rank == 0)
    ),
    lambda comm, part: counting.histogram(comm, part),
]


@pytest.mark.parametrize("size", SIZES)
def test_parts_of_any_length_become_even_tiles(size: int) -> None:
    for lengths in ([0] * size, [5 * (k == 0) for k in range(size)], [(7 * k) % 5 for k in range(size)]):
        rows = [np.full((n, 2), k) for k, n in enumerate(lengths)]
        found = run_ranks(size, lambda comm, rows=rows: rebalanced(comm, rows[comm.rank]))
        whole = np.concatenate(rows)
        np.testing.assert_array_equal(tiles_of([f.part for f in found], len(whole)), whole)
        assert {f.shape for f in found} == {whole.shape}
