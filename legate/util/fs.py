"""Reading values out of files that other build systems wrote."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["read_c_define", "read_cmake_cache_value"]


def read_c_define(header_path: Path, name: str) -> str | None:
    """The text that a C header defines `name` as; None if it does not, or if there is no such file."""
    try:
        lines = Path(header_path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        match line.split(maxsplit=2):
            case ["#define", found, value] if found == name:
                return value.strip()
    return None


def read_cmake_cache_value(file_path: Path, pattern: str) -> str:
    """The value of the first line of a CMake cache that starts with `pattern`, a regular expression. RuntimeError if none."""
    for line in Path(file_path).read_text(encoding="utf-8").splitlines():
        if re.match(pattern, line):
            return line.strip().split("=")[1]
    raise RuntimeError(f"Could not find value for {pattern} in {file_path}")
