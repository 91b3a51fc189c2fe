"""The plans that windows over ranks were run with."""

from __future__ import annotations

from legate_jit import runtime
from legate_jit.ranks import windows


def plans() -> list[windows.RanksPlan]:
    """Those of the windows since plans were cleared."""
    return [p for p in runtime._plans.values() if isinstance(p, windows.RanksPlan)]
