"""docs/api.md: every public name, how it is computed and what ranks exchange for it, as it is seen when it is called.

`python -m pytest tests/table --update-golden` writes the page.
"""

from __future__ import annotations

import contextlib
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy

import cupynumeric
from legate_jit.backends.calls import library
from legate_jit.ir.ops import OPS, Kind
from legate_jit.ir.ranks import call_rules
from legate_jit.ir.ranks.exchanges import EXCHANGES
from tests.table import observing, samples
from tests.table.observing import Row, Seen

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
_HEAD = """\
# Every name: how it is computed, and what ranks exchange for it

Made by `python -m pytest tests/table --update-golden`, which calls every function once, on arrays of 120,000 elements
and more that four ranks have dealt out, and writes down what happens; a test fails when this page is not what happens.
Other arguments (other axes, dtypes, small arrays) may take other ways.

| how | |
|---|---|
| kernels | recorded; fused with its neighbors into compiled loops |
| library (names) | recorded; runs as a call of a library, or as a compiled loop of its own |
| at once | when it is called, after what was recorded before: the result's shape depends on values, say |
| shares | nothing is computed: a view of the same memory, or a copy, which is made when one of the two is written to |

| exchanged | |
|---|---|
| nothing | every rank computes its part |
| edges | what neighbors need of each other: a small part of the array |
| redistributed | parts of the array, to where they are needed: each element about once |
| results | partial results, or results that are small and lie whole on every rank |
| together (name) | the ranks run one algorithm and exchange in it what that takes |
| gathered | all of an array or operand, to every rank |
"""


def _sections() -> dict[str, dict[str, str]]:
    """Titles, and what is called under which name."""
    top = {name: f"np.{call}" for name, call in samples.FUNCTIONS.items()}
    for name in _public(cupynumeric):
        if name not in top and isinstance(getattr(cupynumeric, name), cupynumeric.ufunc):
            top[name] = f"np.{name}"
    modules = {
        f"{module}": {name: f"np.{module}.{call}" for name, call in calls.items()}
        for module, calls in samples.MODULES.items()
    }
    methods = {name: f"{samples.OF.get(name, 'x')}.{call}" for name, call in samples.METHODS.items()}
    return {
        "Brackets and reads": samples.INDEXING,
        "Functions": dict(sorted(top.items())),
        **modules,
        "Methods of arrays": methods,
    }


def _public(room: Any) -> list[str]:
    """Names of functions that a module gives to users."""
    found = []
    for name in dir(room):
        thing = getattr(room, name)
        if name.startswith("_") or isinstance(thing, type | types.ModuleType) or not callable(thing):
            continue
        if name not in samples.NOT_OPERATIONS:
            found.append(name)
    return found


def without_a_sample() -> list[str]:
    """Public functions and methods that the table says nothing of."""
    known = _sections()
    missing = [name for name in _public(cupynumeric) if name not in known["Functions"]]
    for module in samples.MODULES:
        room = getattr(cupynumeric, module)
        own = [
            n for n in _public(room) if getattr(getattr(room, n), "__module__", "").startswith("cupynumeric")
        ]
        missing += [f"{module}.{n}" for n in own if n not in known[module] and n not in samples.HELPERS]
    methods = [n for n in _public(cupynumeric.ndarray) if n not in samples.ATTRIBUTES]
    return missing + [f"ndarray.{n}" for n in methods if n not in known["Methods of arrays"]]


def _look(seen: Seen, source: str, names: dict[str, Any]) -> Row:
    """What a sample does; ufuncs, given by name only, are called with floats, or integers if they take no floats."""
    if "(" in source or "[" in source:
        return observing.look(seen, source, names)
    count = getattr(cupynumeric, source.removeprefix("np.")).nin
    try:
        return observing.look(seen, f"{source}({', '.join('xy'[:count])})", names)
    except TypeError:
        return observing.look(seen, f"{source}({', '.join('pp'[:count])})", names)


@contextlib.contextmanager
def _files() -> Iterator[str]:
    """Beginning of the names of files that samples read and write."""
    with tempfile.TemporaryDirectory() as folder:
        saved, array = f"{folder}/a", numpy.arange(120_000.0).reshape(600, 200)
        numpy.save(saved + ".npy", array)
        array.tofile(saved + ".raw")
        numpy.savetxt(saved + ".txt", array[:3])
        yield saved


def rows() -> dict[str, dict[str, Row]]:
    """The table, section by section."""
    with observing.observed() as seen, _files() as saved:
        return {
            title: {
                name: _look(seen, call, samples.arrays(cupynumeric) | {"saved": saved})
                for name, call in calls.items()
                if name not in samples.NOT_OPERATIONS
            }
            for title, calls in _sections().items()
        }


def page() -> str:
    """The text of docs/api.md."""
    parts = [_HEAD]
    for title, found in rows().items():
        parts.append(f"\n## {title if title[0].isupper() else f'`{title}`'}\n")
        parts.append("| name | how | exchanged |\n|---|---|---|")
        shown = {name: row for name, row in found.items() if row.how != observing.NO_ARRAYS}
        parts += [f"| `{name}` | {row.how} | {row.moves} |" for name, row in shown.items()]
        rest = ", ".join(f"`{name}`" for name in found if name not in shown)
        parts += [f"\nNo arrays of ours are computed by {rest}."] if rest else []
    return "\n".join([*parts, *_rules()]) + "\n"


# ---- what the op tables say ---------------------------------------------------------------------------------------------

#: by kind of operation, what its rule over ranks is called in the op table
RULES = {
    Kind.MAP: "elementwise",
    Kind.GENERATE: "elementwise",
    Kind.MOVE: "affine",
    Kind.RESHAPE: "affine",
    Kind.BITCAST: "affine",
    Kind.UPDATE: "affine",
    Kind.REDUCE: "reduce",
    Kind.SCAN: "scan",
    Kind.GATHER: "gather",
    Kind.SCATTER: "gather",
}
_MEANINGS = {
    "elementwise": "operands lie as the result; nothing is exchanged if they do",
    "affine": "parts of the operand that a view shows: nothing, edges, or a redistribution",
    "reduce": "partial results of the parts, combined along axes that are cut",
    "scan": "totals of the ranks before, along an axis that is cut",
    "gather": "by the indices: the ranks exchange what they ask for",
}
#: implementations that carry out operations with a rule of their own
SCANS = frozenset({"cumsum", "cumprod"})


def calls_without_a_rule() -> set[str]:
    """Library calls of which nothing is said over ranks."""
    known = {*call_rules._RULES, *call_rules._COLLECTIVES, *EXCHANGES, *SCANS, *call_rules.INNER}
    return set(library.TABLE) - known


def _rules() -> list[str]:
    by_rule: dict[str, list[str]] = {}
    for op in OPS.values():
        if op.kind in RULES:
            by_rule.setdefault(op.rule, []).append(op.name)
    parts = ["\n## Rules of operations over ranks\n", "| rule | over ranks | operations |\n|---|---|---|"]
    parts += [
        f"| {rule} | {_MEANINGS[rule]} | {', '.join(sorted(names))} |" for rule, names in by_rule.items()
    ]
    parts += [
        "\nLibrary calls:\n",
        "| call | axes that ranks compute alone | the ranks together |\n|---|---|---|",
    ]
    for name in sorted(set(library.TABLE) - EXCHANGES - SCANS - call_rules.INNER):
        alone = "by the call's axes" if name in call_rules._RULES else "none"
        together = "along the others" if name in call_rules._COLLECTIVES else "no: gathered"
        together = "along the axis summed over" if name in call_rules.SUMMED else together
        parts.append(f"| `{name}` | {alone} | {together} |")
    return parts
