"""Kinds of task variants: which exist, which are preferred, which processors run them."""

from __future__ import annotations

from legate.core._enums import TaskTarget, VariantCode

#: in order of preference
PREFERENCE = (VariantCode.GPU, VariantCode.OMP, VariantCode.CPU)
KNOWN_VARIANTS = frozenset(VariantCode)
TARGETS = {
    VariantCode.CPU: TaskTarget.CPU,
    VariantCode.GPU: TaskTarget.GPU,
    VariantCode.OMP: TaskTarget.OMP,
}


def validate_variant(kind: VariantCode) -> None:
    """ValueError for a variant kind that does not exist."""
    if kind not in KNOWN_VARIANTS:
        raise ValueError(f"Unknown variant kind: {kind}")
