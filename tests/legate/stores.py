"""What tests of tasks do with stores."""

from __future__ import annotations

from typing import Any

from legate.core import LogicalStore, get_legate_runtime, types

runtime = get_legate_runtime()


def filled(shape: tuple[int, ...], value: Any, dtype: Any = types.int64) -> LogicalStore:
    """A store whose elements are all one value."""
    store = runtime.create_store(dtype, shape=shape)
    store.fill(value)
    return store


def fence() -> None:
    """Wait for all that was launched."""
    runtime.issue_execution_fence(block=True)
