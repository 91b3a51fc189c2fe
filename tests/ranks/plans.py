"""The plans that windows over ranks were run with."""

from __future__ import annotations

from legate_jit import ranks, runtime


def plans() -> list[ranks.RanksPlan]:
    """Those of the windows since plans were cleared."""
    return [p for p in runtime._plans.values() if isinstance(p, ranks.RanksPlan)]
