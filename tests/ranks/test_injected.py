"""Injected faults: every job ends soon, not with success, with the first cause told once, and leaves no process.

A few of the cases by default; all of them with `python -m pytest tests/ranks/test_injected.py -m faults_all`.
"""

from __future__ import annotations

from typing import Any

import pytest
from ranks import injected

#: one of so many cases runs by default
ONE_OF = 17
_ALL = injected.cases()


def test_there_are_enough_cases() -> None:
    assert len({case.program() + str(case.ranks) for case in _ALL}) == len(_ALL) >= 200


def _param(case: injected.Case) -> Any:
    return pytest.param(case, id=case.name, marks=pytest.mark.faults_all(sample=case.number % ONE_OF == 0))


@pytest.mark.parametrize("case", [_param(case) for case in _ALL])
def test_fault(case: injected.Case) -> None:
    ended = case.run()
    wrong = case.wrong(ended)
    assert not wrong, f"{wrong}\n{ended.out}\n{ended.err}\n{case.program()}"
