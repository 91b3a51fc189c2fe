"""Random programs over views, updates, reductions and flush points give NumPy's results, bit for bit.

Every seed is also a choice of window limits, block sizes and fusion (see `programs.settings`). Run more of them with
`python -m tests.fuzz.programs FIRST LAST HOW_MANY_FAILURES`.
"""

from __future__ import annotations

import pytest

from legate_jit.running import tiers
from tests.fuzz import programs

CHUNK = 20


@pytest.mark.parametrize("first", range(0, 140, CHUNK))
def test_random_programs(first: int) -> None:
    reports = [r for seed in range(first, first + CHUNK) if (r := programs.check(seed)) is not None]
    assert not reports, "\n\n".join(reports)


def test_host_views_are_snapshots() -> None:
    """What `numpy.asarray` shows does not change when the array does, however its memory is reused."""
    for seed in range(30_000, 30_030):
        lines = programs.make(seed)
        with programs.settings(seed):
            assert programs.difference(lines, snapshots=seed) is None, f"seed {seed}"


def test_short_programs() -> None:
    """Few statements, so that windows, plans and fusion have little to hide behind."""
    reports = [r for seed in range(10_000, 10_100) if (r := programs.check(seed, steps=6)) is not None]
    assert not reports, "\n\n".join(reports)


def test_regressions() -> None:
    """Programs that once went wrong: an update through a reshaped view follows one that had to copy."""
    assert programs.check(493) is None


def test_blocks_over_two_reduced_axes() -> None:
    """Blocks of the outermost reduced axis do not run on into the next one (found by the verifier: results too large)."""
    lines = [
        "v1 = np.full((200, 30, 5), 2, 'f8')",
        "v2 = v1.sum(axis=(0, 1))",
        "v3 = (v1 > 1).all(axis=(0, 1))",
    ]
    assert programs.difference(lines) is None


def test_regressions_of_direct_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An update in place of a value that is a view of an input, or that NumPy made as one."""
    monkeypatch.setattr(tiers.policy, "interpret_runs", 10**9)
    for lines in (
        ["v1 = data((2, 3), 'f8', 1) + 0", "fence()", "v2 = v1.T.copy()", "del v1", "v2[0, 0] = 9"],
        [
            "v1 = data((4,), 'f8', 1) + 0",
            "fence()",
            "v2 = np.broadcast_to(v1, (2, 4)).copy()",
            "del v1",
            "v2[0] = 9",
        ],
        ["v1 = data((4,), 'c8', 1)", "v2 = v1.copy()", "v2.real[::2] -= 1"],
        ["v1 = data((3, 4), 'i4', 1)", "v2 = 5 < v1.T", "v2.T[...] = data((3, 4), '?', 2)"],
        [
            "v1 = data((3, 4, 2), 'i4', 1)",
            "v2 = 5 < v1.T",
            "v2.transpose(1, 0, 2)[...] = data((4, 2, 3), '?', 2)",
        ],
        ["v1 = data((5,), 'c8', 3) * 1j", "v2 = np.full((5,), 0, '?')", "v2[1:] = v1[1:]"],
    ):
        programs.forget()
        assert programs.difference(lines) is None


def test_programs_run_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same by tier 0, which runs tapes without planning and decides itself what it may overwrite."""
    monkeypatch.setattr(tiers.policy, "interpret_runs", 10**9)
    monkeypatch.setattr(tiers.policy, "interpret_work", 10**12)
    before = tiers.counters.interpreted
    reports = [r for seed in range(20_000, 20_040) if (r := programs.check(seed)) is not None]
    assert not reports, "\n\n".join(reports)
    assert tiers.counters.interpreted > before


def test_the_comparison_notices() -> None:
    """The harness is worth something only if a wrong engine fails: make one with a planted fault."""
    lines = ["v1 = data((4,), 'i8', 1)", "v2 = v1[::-1]", "v2 += 1"]
    assert programs.difference(lines) is None
    wrong = dict(programs.our_names(), data=lambda *a: programs.our_data(*a) + 1)
    original = programs.our_names
    programs.our_names = lambda: dict(wrong)  # type: ignore[assignment]
    try:
        assert programs.difference(lines) is not None
    finally:
        programs.our_names = original
