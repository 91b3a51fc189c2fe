"""The configuration: what the environment may say, and that the table of variables is complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from legate_jit.process.config import (
    DEFAULT_STAGES,
    STAGES,
    Config,
    from_environment,
    parse_level,
    parse_stages,
)

ROOT = Path(__file__).resolve().parent.parent.parent


def test_defaults() -> None:
    assert from_environment({}) == Config()
    assert not Config().watching


def test_values() -> None:
    made = from_environment(
        {
            "LEGATE_JIT_DEBUG": "2",
            "LEGATE_JIT_DUMP_IR": "asm,llvm,graph",
            "LEGATE_JIT_DUMP_FILE": "x.txt",
            "LEGATE_JIT_TARGET": "null",
            "LEGATE_JIT_TIER0": "0",
        }
    )
    assert made == Config("null", 2, ("graph", "source", "asm"), "x.txt", False, False)
    assert made.watching


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("", DEFAULT_STAGES),
        ("all", STAGES),
        ("graph,all", STAGES),
        (" schedule , fused", ("fused", "schedule")),
    ],
)
def test_stages(text: str, stages: tuple[str, ...]) -> None:
    assert parse_stages(text) == stages


@pytest.mark.parametrize(("text", "stages"), [("0", ()), ("1", DEFAULT_STAGES), ("", ()), ("all", STAGES)])
def test_dump_variable(text: str, stages: tuple[str, ...]) -> None:
    assert from_environment({"LEGATE_JIT_DUMP_IR": text}).dump == stages


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TARGET", "gpu"),
        ("DEBUG", "5"),
        ("DEBUG", "-1"),
        ("VERIFY", "yes"),
        ("TIER0", "2"),
        ("DUMP_IR", "grap"),
    ],
)
def test_wrong_values_name_the_variable(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"LEGATE_JIT_{name}.*{value}"):
        from_environment({f"LEGATE_JIT_{name}": value})


def test_levels() -> None:
    assert [parse_level(t) for t in "01234"] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="'9'"):
        parse_level("9")


def test_every_variable_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    named = set()
    for package in ("legate_jit", "cupynumeric", "legate"):
        for path in (ROOT / package).rglob("*.py"):
            named |= set(
                re.findall(
                    r"[\"'| ]((?:LEGATE_JIT|CUPYNUMERIC)_[A-Z0-9_]+)", path.read_text(encoding="utf-8")
                )
            )
    assert {name for name in named if f"`{name}`" not in page} == set()
