"""Names that stores had when they could have missing elements: logical and physical arrays. They are the stores themselves."""

from __future__ import annotations

from legate.core._physical import PhysicalStore
from legate.core._store import LogicalStore

__all__ = ["LogicalArray", "PhysicalArray"]

LogicalArray = LogicalStore
PhysicalArray = PhysicalStore
