"""Configuration: read once from the environment, then frozen. Knows names and their values, not what they do.

| variable | values | meaning |
|---|---|---|
| LEGATE_JIT_TARGET | cpu, reference, null | where kernels run; `reference` interprets with NumPy, `null` runs nothing |
| LEGATE_JIT_DEBUG | 0..4 | 1: a line per flush, 2: per step, 3: and its IR, 4: and its source |
| LEGATE_JIT_DUMP_IR | stages | print these stages of every compiled window (see `legate-jit --help`) |
| LEGATE_JIT_VERIFY | 0, 1 | check the result of every compiler pass |
| LEGATE_JIT_TIER0 | 0, 1 | interpret small windows the first times they are seen (default 1) |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

TARGETS = ("cpu", "reference", "null")
STAGES = ("graph", "simplified", "pieces", "lowered", "fused", "kernels", "schedule", "source", "llvm", "asm")


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of this process."""

    target: str = "cpu"
    debug: int = 0
    dump: tuple[str, ...] = ()
    verify: bool = False
    tier0: bool = True


def parse_stages(text: str) -> tuple[str, ...]:
    """Stage names separated by commas, in pipeline order; '' or 'all' mean every stage. ValueError names a wrong one."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or names == ["all"]:
        return STAGES
    for name in names:
        if name not in STAGES:
            raise ValueError(f"no stage {name!r}; the stages are {', '.join(STAGES)}")
    return tuple(s for s in STAGES if s in names)


def from_environment(environment: Mapping[str, str]) -> Config:
    """The configuration that environment variables ask for. ValueError names the variable and its value."""
    dump = environment.get("LEGATE_JIT_DUMP_IR")
    try:
        stages = () if dump is None or dump == "0" else parse_stages("" if dump == "1" else dump)
    except ValueError as e:
        raise ValueError(f"LEGATE_JIT_DUMP_IR={dump}: {e}") from None
    return Config(
        target=_choice(environment, "LEGATE_JIT_TARGET", TARGETS),
        debug=int(_choice(environment, "LEGATE_JIT_DEBUG", ("0", "1", "2", "3", "4"))),
        dump=stages,
        verify=_choice(environment, "LEGATE_JIT_VERIFY", ("0", "1")) == "1",
        tier0=_choice(environment, "LEGATE_JIT_TIER0", ("1", "0")) == "1",
    )


def _choice(environment: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    text = environment.get(name, "")
    if not text:
        return values[0]
    if text not in values:
        raise ValueError(f"{name} must be one of {', '.join(sorted(values))}, not {text!r}")
    return text


config = from_environment(os.environ)
