"""Chains of launches that go through the same rows band by band: which there are, and that nobody can tell."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import cupynumeric
import legate
from legate_jit.backends.pool import threads
from legate_jit.ir import bands, lower, passes
from legate_jit.ir.steps import Launch, Schedule
from tests.fuzz import programs

Program = Callable[..., Any]


class Seen:
    """The schedules that were made."""

    def __init__(self) -> None:
        self.schedules: list[Schedule] = []

    def __call__(self, stage: str, result: Any) -> None:
        if stage == "schedule":
            self.schedules.append(result)

    @property
    def chains(self) -> list[list[str]]:
        """The kinds of launches of each chain, in order."""
        found: list[list[str]] = []
        for schedule in self.schedules:
            for step in schedule.steps:
                if isinstance(step, Launch) and step.band is not None:
                    if not step.joined:
                        found.append([])
                    found[-1].append(step.nest.kernel.kind)
        return found


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """What is made with limits so low that tiny arrays take the ways of large ones."""
    monkeypatch.setattr(bands, "WORTH_SHARING", 1)
    monkeypatch.setattr(bands, "ENOUGH_BANDS", 2)
    monkeypatch.setattr(bands, "BAND_BYTES", 256)
    monkeypatch.setattr(lower, "SERIAL_SIZE", 8)
    monkeypatch.setattr(lower, "BLOCK_BYTES", 1)
    monkeypatch.setattr(lower, "BLOCK_ROWS", 5)
    from legate_jit.running import tiers

    monkeypatch.setattr(tiers.policy, "interpret_runs", 0)
    found = Seen()
    monkeypatch.setattr(passes, "observers", [*passes.observers, found])
    programs.forget()
    yield found
    programs.forget()


def whole(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Small whole numbers, so that sums are exact in any order."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype("f8")


def same(program: Program, *arrays: np.ndarray) -> None:
    """The program gives NumPy's results, and changes its arguments as NumPy does."""
    theirs, ours = [a.copy() for a in arrays], [cupynumeric.array(a) for a in arrays]
    legate.fence()
    want, got = program(np, *theirs), program(cupynumeric, *ours)
    legate.fence()
    for w, g in zip((*want, *theirs), (*got, *ours), strict=True):
        assert np.array_equal(np.asarray(g), w)


def gradient(np: Any, x: Any, w: Any, y: Any) -> Any:
    e = x @ w - y
    return (x.T @ e,)


def both_ways(np: Any, x: Any) -> Any:
    return x.sum(axis=0), x.sum(axis=1), x.max(axis=1)


@pytest.mark.parametrize("shape", [(200, 20), (203, 64), (64, 2000)])
def test_rows_and_columns_in_one_chain(seen: Seen, shape: tuple[int, int]) -> None:
    same(both_ways, whole(shape))
    assert any({"row", "col"} <= set(chain) for chain in seen.chains), seen.chains


def test_a_matrix_and_its_transpose_are_read_once(seen: Seen) -> None:
    same(gradient, whole((211, 20)), whole((20,), 1), whole((211,), 2))
    assert ["row", "col"] in seen.chains, seen.chains


def test_costly_values_per_row_stand_between(seen: Seen) -> None:
    def program(np: Any, x: Any) -> Any:
        p = 1.0 / (1.0 + np.exp(-np.sinh(x.sum(axis=1))))
        return ((x * (p * 0 + 2)[:, None]).sum(axis=0),)

    same(program, whole((150, 20)) / 64)
    assert ["row", "map", "col"] in seen.chains, seen.chains


def test_rows_that_other_rows_need_make_no_chain(seen: Seen) -> None:
    def program(np: Any, x: Any, y: Any) -> Any:
        y[1:] = x[1:] * 2
        y[0] = 1
        z = y[::-1] + 1
        return z.sum(axis=0), z[::-1].sum(axis=1), y

    same(program, whole((120, 8)), whole((120, 8), 1))


def test_results_along_columns_are_whole_before_anyone_reads_them(seen: Seen) -> None:
    def program(np: Any, x: Any) -> Any:
        centered = x - x.sum(axis=0)
        return centered.sum(axis=1), (centered * centered).sum(axis=0), centered

    same(program, whole((130, 9)))


def test_limits_are_limits(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays that stay in cache anyway, or have too few bands for the threads, make no chains."""
    monkeypatch.setattr(bands, "WORTH_SHARING", 1 << 21)
    same(both_ways, whole((200, 9)))
    assert not seen.chains
    programs.forget()
    monkeypatch.setattr(bands, "WORTH_SHARING", 1)
    monkeypatch.setattr(bands, "ENOUGH_BANDS", 100)
    same(both_ways, whole((200, 9)))
    assert not seen.chains


def test_any_number_of_threads_gives_the_same_bits(seen: Seen) -> None:
    x = np.random.default_rng(5).normal(size=(300, 11)) * 1e3
    results = []
    before = threads.get_threads()
    try:
        for count in (1, 2, 3):
            threads.set_threads(count)
            programs.forget()
            results.append([np.asarray(r).tobytes() for r in both_ways(cupynumeric, cupynumeric.array(x))])
    finally:
        threads.set_threads(before)
    assert results[0] == results[1] == results[2]
    assert seen.chains


# ---- random programs ------------------------------------------------------------------------------------------------

STATEMENTS = (
    "r0 = {m}.sum(axis=1)", "r1 = ({m} * {m}).max(axis=1)", "c0 = {m}.sum(axis=0)", "c1 = {m}.max(axis=0)",
    "c0 = ({m} * {r}[:, None]).sum(axis=0)", "r0 = ({m} + {c}).sum(axis=1)", "{r} = {r} * 2 - {r}", "{r}[:] = {r} + 1",
    "a = {m} + 1", "b = {m} - {r}[:, None]", "a = {m} * 2 - {c}", "{m}[:, 1:] = {m}[:, :-1]", "{m}[1:] = {m}[:-1] + 1",
    "{m}[:, 0] = {r}", "{m}[:, -1] += {r}", "{m} += {r}[:, None]", "{m}[3:-3] = 2", "b = {m}[::-1]", "{r} = {m}[:, 0] + {r}",
    "{m}[::2] = {m}[1::2]", "a = np.where({m} > 0, {m}, {r}[:, None])", "{c} = {c} + {m}[0]", "fence()",
    "a = {m}[:, ::-1] + 0", "{m}.T[0] = {r}", "r1 = {m}.any(axis=1) * 1.0",
)  # fmt: skip


def random_program(seed: int) -> tuple[list[str], tuple[int, int]]:
    """Statements over matrices a, b, x of 2 n rows, values per row r0, r1 and per column c0, c1."""
    rng = random.Random(seed)
    lines = []
    for _ in range(rng.randint(3, 12)):
        names = {"m": rng.choice("abx"), "r": rng.choice(["r0", "r1"]), "c": rng.choice(["c0", "c1"])}
        lines.append(rng.choice(STATEMENTS).format(**names))
    return lines, (2 * rng.choice([9, 30, 51]), rng.choice([1, 2, 5, 17]))


def run(lines: list[str], shape: tuple[int, int], np_: Any, make: Callable[[np.ndarray], Any]) -> list[Any]:
    names: dict[str, Any] = {"np": np_, "fence": legate.fence}
    for k, name in enumerate("abx"):
        names[name] = make(whole(shape, k))
    for k in (0, 1):
        names[f"r{k}"] = make(whole(shape[:1], 10 + k))
        names[f"c{k}"] = make(whole(shape[1:], 20 + k))
    for line in lines:
        exec(line, names)
        for name in ("a", "b", "x", "r0", "r1", "c0", "c1"):  # numbers stay exact
            names[name] = names[name] % 1000
    return [np.asarray(names[name]) for name in ("a", "b", "x", "r0", "r1", "c0", "c1")]


@pytest.mark.parametrize("first", range(0, 120, 40))
def test_random_programs(seen: Seen, first: int) -> None:
    for seed in range(first, first + 40):
        lines, shape = random_program(seed)
        programs.forget()
        want = run(lines, shape, np, lambda a: a)
        got = run(lines, shape, cupynumeric, cupynumeric.array)
        for name, w, g in zip(("a", "b", "x", "r0", "r1", "c0", "c1"), want, got, strict=True):
            assert np.array_equal(w, g), (seed, shape, name, "\n".join(lines))
    assert len(seen.chains) > 10
