"""docs/api.md says what happens, for every public name, and every operation has a rule over ranks."""

from __future__ import annotations

import pytest

from legate_jit.ir.ops import OPS
from tests.table import page


def test_every_name_has_a_sample() -> None:
    assert page.without_a_sample() == []


def test_every_operation_has_a_rule_over_ranks() -> None:
    for op in OPS.values():
        if op.kind in page.RULES:
            assert op.rule == page.RULES[op.kind], op
    assert page.calls_without_a_rule() == set()


def test_the_page_is_current(request: pytest.FixtureRequest) -> None:
    text = page.page()
    if request.config.getoption("--update-golden"):
        page.PAGE.write_text(text, encoding="utf-8")
    kept = page.PAGE.read_text(encoding="utf-8").splitlines()
    assert text.splitlines() == kept, "run: python -m pytest tests/table --update-golden"
