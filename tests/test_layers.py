"""The layer rule of ARCHITECTURE.md, enforced on the source text: imports point down only.

The checker reads the files without importing them, so it also sees imports inside functions, under `TYPE_CHECKING`
and in `importlib.import_module("...")`. It is itself tested on small trees with planted violations.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENGINE = "legate_jit"
FACES = ("cupynumeric", "cunumeric", "legate")
LINKS = ("ir", "backends")
OURS = (ENGINE, *FACES, *LINKS, "tests", "benchmarks", "examples")


@dataclass(frozen=True)
class Import:
    """One imported dotted name and the line it stands on; `relative` when it was written with leading dots."""

    name: str
    line: int
    relative: bool = False


def imports_of(source: str) -> Iterator[Import]:
    """All imports of a module's source, `from a import b` as `a.b` (b may be a module)."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (Import(alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                prefix = f"{module}." if module else ""
                yield from (Import(prefix + alias.name, node.lineno, level > 0) for alias in names)
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if is_import_call(func):
                yield Import(name, node.lineno, name.startswith("."))


def is_import_call(func: ast.expr) -> bool:
    match func:
        case ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"):
            return True
    return False


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def complaint(module: str, found: Import) -> str | None:
    """Why `module` (dotted) may not import `found`, or None."""
    name, top = found.name, found.name.partition(".")[0]
    if found.relative:
        return "imports are absolute"
    if top in LINKS:
        return f"write legate_jit.{name}: the top-level links are for readers"
    if within(module, f"{ENGINE}.ir"):
        return ir_complaint(name, top)
    if within(module, f"{ENGINE}.backends") and top in OURS and not within_any(name, "ir", "backends"):
        return "backends may import legate_jit.ir (and each other) only"
    if within(module, ENGINE) and top in (*FACES, "tests", "benchmarks", "examples"):
        return "the engine knows nothing of the faces above it"
    if module.partition(".")[0] in FACES and within(name, f"{ENGINE}.backends"):
        return "faces never import backends"
    if within(module, "legate") and top in ("cupynumeric", "cunumeric"):
        return "tasks and stores do not need the face of arrays"
    return None


def within_any(name: str, *rooms: str) -> bool:
    return any(within(name, f"{ENGINE}.{room}") for room in rooms)


def ir_complaint(name: str, top: str) -> str | None:
    if within(name, f"{ENGINE}.ir"):
        return None
    if top in OURS:
        return "ir imports nothing of ours"
    if top != "numpy" and top not in sys.stdlib_module_names:
        return "ir imports the standard library and numpy only"
    return None


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def violations(root: Path) -> list[str]:
    """All breaches of the layer rule below `root`, as "path:line: imports NAME: why"."""
    found = []
    for package in (ENGINE, *FACES, "benchmarks", "examples"):
        for path in sorted((root / package).rglob("*.py")):
            module = module_name(path, root)
            for each in imports_of(path.read_text(encoding="utf-8")):
                why = complaint(module, each)
                if why:
                    found.append(f"{path.relative_to(root)}:{each.line}: imports {each.name}: {why}")
    return found


def test_imports_point_down() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_into_the_engine(link: str) -> None:
    assert (ROOT / link).is_symlink()
    assert (ROOT / link).resolve() == ROOT / ENGINE / link


PLANTED = {
    "legate_jit/ir/fuse.py": [
        "import legate_jit.store",
        "from legate_jit import backends",
        "import numba",
        "import cupynumeric",
    ],
    "legate_jit/backends/cpu.py": [
        "from legate_jit import runtime",
        "import legate_jit.process.config",
        "import legate",
    ],
    "legate_jit/runtime.py": [
        "import cupynumeric",
        "from legate import fence",
        "from .store import Store",
        "import ir.node",
    ],
    "legate_jit/store.py": ["def f():\n    from backends import cpu"],
    "cupynumeric/array.py": [
        "from legate_jit.backends import cpu",
        "from legate_jit import backends",
        "import legate_jit.backends.cpu as target",
        "import importlib\nimportlib.import_module('legate_jit.backends.cpu')",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import legate_jit.backends",
    ],
    "legate/core/task.py": [
        "from legate_jit.backends.cpu import run",
        "from . import types",
        "def f():\n    from cupynumeric._convert import strided",
    ],
    "examples/cfd.py": ["import backends.cpu"],
}
ALLOWED = {
    "legate_jit/ir/fuse.py": [
        "import numpy as np",
        "from legate_jit.ir.node import Node",
        "import dataclasses",
    ],
    "legate_jit/backends/cpu.py": [
        "import llvmlite",
        "from legate_jit.ir import kernel",
        "from legate_jit.backends import base",
    ],
    "legate_jit/execute.py": ["from legate_jit.backends import cpu", "from legate_jit.ir import schedule"],
    "cupynumeric/array.py": [
        "from legate_jit.ir.ops import OPS",
        "import legate_jit.runtime",
        "import numpy",
    ],
    "legate/core/task.py": ["from legate_jit import runtime", "import legate.core.types"],
}


def flat(cases: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(path, source) for path, sources in cases.items() for source in sources]


def plant(root: Path, path: str, source: str) -> list[str]:
    file = root / path
    file.parent.mkdir(parents=True)
    file.write_text(source + "\n", encoding="utf-8")
    return violations(root)


@pytest.mark.parametrize(("path", "source"), flat(PLANTED))
def test_a_planted_violation_is_found(tmp_path: Path, path: str, source: str) -> None:
    assert len(plant(tmp_path, path, source)) == 1


@pytest.mark.parametrize(("path", "source"), flat(ALLOWED))
def test_downward_imports_are_allowed(tmp_path: Path, path: str, source: str) -> None:
    assert plant(tmp_path, path, source) == []
