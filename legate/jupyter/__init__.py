"""Legate in notebooks: `%load_ext legate.jupyter` brings the magic `%legate_info`; `legate-jupyter` installs kernels (`main`)."""

from __future__ import annotations

from typing import Any

from legate_jit.cli.notebooks import about, main

__all__ = ["load_ipython_extension", "main"]


def load_ipython_extension(ipython: Any) -> None:
    """Add `%legate_info`, which prints what the notebook's kernel was configured with."""

    def legate_info(line: str) -> None:
        """Print what this kernel was configured with."""
        print(about())

    ipython.register_magic_function(legate_info, "line")
