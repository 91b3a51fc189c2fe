"""A part of the differential suite as real jobs, and that such a job notices what goes wrong on one rank."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ranks import launch

SUITE = Path(__file__).with_name("suite.py")
TESTS = SUITE.parents[1]


def run(ranks: int, *arguments: str) -> tuple[int, str]:
    """The status and the report of a job that runs tests."""
    program = f"""
        import runpy, sys
        sys.argv = ["suite.py", "-q", *{[*arguments]!r}]
        runpy.run_path({str(SUITE)!r}, run_name="__main__")
        """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "BOUND", 400.0)  # of many programs
        ended = launch.job(program, ranks)
    assert ended.left == 0
    return ended.status, ended.out + ended.err


@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_sample(ranks: int) -> None:
    status, report = run(ranks, str(TESTS / "api"), "--one-of", "61")
    assert status == 0, report
    passed = re.search(r"(\d+) passed", report)
    assert passed and int(passed[1]) > 50, report


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_random_programs(ranks: int) -> None:
    path = f"{TESTS / 'fuzz' / 'test_alias_fuzz.py'}::test_random_programs"
    status, report = run(ranks, path, "--one-of", "3")
    assert status == 0, report
    assert re.search(r"[1-9]\d* passed", report), report


def test_what_fails_on_one_rank_fails() -> None:
    status, report = run(2, str(Path(__file__).with_name("suite_cases.py")))
    assert status == 1, report
    assert "3 failed" in report, report
    names = re.findall(r"^FAILED .*::(\w+)", report, re.MULTILINE)
    assert sorted(names) == [
        "test_one_rank_computes_something_else",
        "test_one_rank_ends_while_others_exchange",
        "test_wrong_on_one_rank",
    ]  # and neither the test before them nor the one after
    assert "only here" in report and "the ranks do not run the same program" in report
