"""A graph as a NumPy program: one statement per node, in a function that takes the inputs and returns the roots.

The text runs by itself (`exec` it and call `window`); only library calls without a NumPy spelling import this package. Knows the
graph as data; not where it came from, who prints it, or how it is compiled.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

from legate_jit.ir import dtypes
from legate_jit.ir.build import CallSpec
from legate_jit.ir.index import Affine
from legate_jit.ir.lower import Reduction
from legate_jit.ir.node import ArrayType, Node
from legate_jit.ir.ops import Kind
from legate_jit.ir.rewrite import Graph
from legate_jit.ir.tasks.task import TaskArg

#: longest line of names
WIDTH = 110
#: source text of the functions a program may need, by name; put at its top when it does
HELPERS = {
    "strided": '''\
def strided(x, shape, axes, writeable=False):
    """View of x: along axis d of x the element is at start + step * i[axis], where i is the view's index (axis -1: fixed)."""
    x = np.asarray(x)
    strides = [0] * len(shape)
    for (_, step, axis), s in zip(axes, x.strides):
        if axis >= 0:
            strides[axis] += step * s
    corner = x[tuple(slice(start, start + 1) for start, _, _ in axes)] if axes else x
    return np.lib.stride_tricks.as_strided(corner, shape, strides, writeable=writeable)
''',
    "pair": '''\
def pair(real, imag, dtype):
    """Complex numbers from their parts."""
    out = np.empty(np.broadcast_shapes(np.shape(real), np.shape(imag)), dtype)
    out.real, out.imag = real, imag
    return out
''',
    "scalar_function": '''\
def scalar_function(name, x):
    """A function of the math module, elementwise."""
    import math
    values = [getattr(math, name)(float(v)) for v in np.asarray(x).ravel()]
    return np.array(values, np.asarray(x).dtype).reshape(np.shape(x))
''',
    "first": '''\
def first(find, x, axes):
    """Position of the extremum `find` (np.argmax, np.argmin), row-major over several axes."""
    kept = [d for d in range(x.ndim) if d not in axes]
    lead = [x.shape[d] for d in kept]
    return find(x.transpose((*kept, *axes)).reshape((*lead, -1)), axis=-1)
''',
    "random": '''\
def random(key, counter, shape, counters_given=False):
    """Counter-based uniform numbers in [0, 1): element i in C order draws from counter + i."""
    from legate_jit.backends.reference import philox
    if counters_given:
        return np.broadcast_to(philox(key, counter), shape)
    return philox(key, counter + np.arange(np.prod(shape, dtype=int), dtype=np.uint64)).reshape(shape)
''',
    "task": '''\
def task(arg, sources, launch):
    """A launch of user code: `launch.point(index, grid, arrays, boxes)` is called for every point; gives the arrays it writes."""
    from legate_jit.running.points import run_on_arrays
    return run_on_arrays(arg, [*sources, launch])
''',
    "library": '''\
def library(name, args, types, options):
    """A library call; a tuple of results when `types` lists several."""
    from legate_jit.backends.calls.library import call
    outs = [np.empty(shape, dtype) for shape, dtype in types]
    call(name, args, outs, options)
    return tuple(outs) if len(outs) > 1 else outs[0]
''',
    "user": '''\
def user(symbol, dtype, *args):
    """A scalar function of the program, elementwise."""
    from legate_jit.backends.reference import _user_functions
    return np.asarray(_user_functions[symbol](*args)).astype(dtype)
''',
}


def program(graph: Graph, places: Mapping[int, str] | None = None, name: str = "window") -> str:
    """NumPy source of `graph`: `def NAME(a0, ..., s0, ...)` returning a tuple of the roots.

    Inputs are `a0...` by buffer slot, scalars `s0...` by slot (those that the graph uses, in order), values `v0...` by node
    number. `places` says where in the user's program a node came from, by node number; printed as comments when it changes.
    """
    return _Writer(graph, places or {}).text(name)


def operand(n: Node) -> str:
    """The name a node has in the text."""
    match n.kind:
        case Kind.BUFFER:
            return f"a{n.arg}"
        case Kind.SCALAR:
            return f"s{n.arg}"
        case _:
            return f"v{n.number}"


def dtype_name(dtype: Any) -> str:
    """`np.float64` for float64."""
    return "np.bool_" if dtype.kind == "b" else f"np.{dtype.name}"


def type_text(t: ArrayType) -> str:
    """A type in a few letters: `f8[401,401]`."""
    return f"{dtypes.code(t.dtype)}[{','.join(map(str, t.shape))}]"


def wrapped(start: str, words: str, end: str) -> list[str]:
    """Text in brackets over as many lines as it needs."""
    pad = " " * (len(start) - len(start.lstrip()) + 8)
    return textwrap.wrap(start + words + end, WIDTH, subsequent_indent=pad, break_long_words=False)


def literal(value: Any) -> str:
    """A Python number as source text, infinities and NaN included."""
    if isinstance(value, complex) and not isinstance(value, float):
        return f"complex({literal(value.real)}, {literal(value.imag)})"
    text = repr(value)
    return f"float({text!r})" if text in ("inf", "-inf", "nan") else text


class _Writer:
    def __init__(self, graph: Graph, places: Mapping[int, str]) -> None:
        self.graph, self.places = graph, places
        self.helpers: dict[str, None] = {}
        self.imports: dict[str, None] = {}
        self.constants: list[str] = []
        self.items: dict[Node, list[Node]] = {}
        for n in graph.nodes:
            if n.kind is Kind.ITEM:
                self.items.setdefault(n.src[0], []).append(n)

    def text(self, name: str) -> str:
        buffers = sorted((n for n in self.graph.nodes if n.kind is Kind.BUFFER), key=_slot)
        scalars = sorted((n for n in self.graph.nodes if n.kind is Kind.SCALAR), key=_slot)
        lines = wrapped(f"def {name}(", ", ".join(operand(n) for n in [*buffers, *scalars]), "):")
        lines += [f"    # {operand(n)}: {type_text(n.type)}" for n in buffers]
        launches = {n.src[-1] for n in self.graph.nodes if n.kind is Kind.TASK}
        lines += [f"    # {operand(n)}: a launch of user code" for n in scalars if n in launches]
        scalars = [n for n in scalars if n not in launches]
        for dtype in dict.fromkeys(n.dtype for n in scalars):
            of_dtype = [operand(n) for n in scalars if n.dtype == dtype]
            if len(of_dtype) == 1:
                lines.append(f"    {of_dtype[0]} = {dtype_name(dtype)}({of_dtype[0]})")
            else:
                names = ", ".join(of_dtype)
                # A line may not end outside brackets: the spaces around the equals sign do not count as spaces.
                convert = f"{names})\0=\0map({dtype_name(dtype)}, ({names}"
                lines += [line.replace("\0", " ") for line in wrapped("    (", convert, "))")]
        place = ""
        for n in self.graph.nodes:
            if n.kind in (Kind.BUFFER, Kind.SCALAR):
                continue
            here = self.places.get(n.number, place)
            if here != place:
                lines.append(f"    # {here}")
                place = here
            first, *more = self.statement(n)
            lines.append(f"    {first:<58}  # {type_text(n.type)}")
            lines += ["    " + line for line in more]
        roots = ", ".join(operand(r) for r in self.graph.roots)
        lines.append(f"    return ({roots}{',' if len(self.graph.roots) == 1 else ''})")
        head = ["import numpy as np", *self.imports]
        for helper in HELPERS:
            if helper in self.helpers:
                head += ["", HELPERS[helper].rstrip()]
        head += ["", *self.constants] if self.constants else []
        return "\n".join([*head, "", *lines, ""])

    def use(self, helper: str) -> str:
        self.helpers[helper] = None
        return helper

    def statement(self, n: Node) -> list[str]:
        target = operand(n)
        if n.kind is not Kind.UPDATE:
            return [f"{target} = {self.expression(n)}"]
        assert isinstance(n.arg, Affine)
        old, value = (operand(s) for s in n.src)
        lines = [f"{target} = np.array({old})"]
        if 0 in n.arg.shape:
            return lines
        where = basic_index(n.arg, n.shape)
        if where is None or where.spread is not None:
            view = f"{self.use('strided')}({target}, {n.arg.shape}, {n.arg.axes}, writeable=True)"
            return [*lines, f"{view}[...] = {value}"]
        if where.order is None:
            return [*lines, f"{target}{where.picked or '[...]'} = {value}"]
        return [*lines, f"{view_text(target, where)}[...] = {value}"]

    def expression(self, n: Node) -> str:
        x = operand(n.src[0]) if n.src else ""
        arg: Any = n.arg
        match n.kind:
            case Kind.MAP:
                return self.map(n)
            case Kind.MOVE:
                return self.move(n, x)
            case Kind.RESHAPE:
                return f"np.reshape({x}, {n.shape})"
            case Kind.BITCAST:
                return f"np.ascontiguousarray({x}).view({dtype_name(n.dtype)}).reshape({n.shape})"
            case Kind.REDUCE:
                return self.reduce(n, x)
            case Kind.SCAN:
                return f"np.{n.op.name}({x}, axis={arg}, dtype={dtype_name(n.dtype)})"
            case Kind.GENERATE:
                return self.generate(n)
            case Kind.CONST:
                return f"{dtype_name(n.dtype)}({literal(arg)})"
            case Kind.ITEM:
                made = self.items[n.src[0]]
                if n.src[0].kind is Kind.TASK:
                    return f"{x}[{arg}]"
                return x if len(made) == 1 else f"{x}[{sorted(_slot(m) for m in made).index(arg)}]"
            case Kind.TASK:
                return self.task(n)
            case Kind.CALL | Kind.GATHER | Kind.SCATTER:
                return self.call(n)
            case _:
                raise TypeError(f"no statement for {n!r}")

    def map(self, n: Node) -> str:
        args = [operand(s) for s in n.src]
        match n.op.name:
            case "cast" if n.src[0].dtype.kind == "c" and n.dtype.kind not in "cb":
                return f"{args[0]}.real.astype({dtype_name(n.dtype)})"
            case "cast":
                return f"{args[0]}.astype({dtype_name(n.dtype)})"
            case "where":
                return f"np.where({', '.join(args)})"
            case "real" | "imag":
                return f"{args[0]}.{n.op.name}"
            case "complex":
                return f"{self.use('pair')}({args[0]}, {args[1]}, {dtype_name(n.dtype)})"
            case "erf" | "erfc":
                return f"{self.use('scalar_function')}({n.op.name!r}, {args[0]})"
            case "rsqrt":
                return f"{args[0]} ** -0.5"
            case "rsqrt3":
                return f"{args[0]} ** -1.5"
            case "user":
                return f"{self.use('user')}({n.arg!r}, {dtype_name(n.dtype)}, {', '.join(args)})"
            case "power" if n.dtype.kind in "iu":
                return f"np.power({args[0]}, np.maximum({args[1]}, 0))"
            case name:
                return f"np.{name}({', '.join(args)})"

    def move(self, n: Node, x: str) -> str:
        assert isinstance(n.arg, Affine)
        if 0 in n.shape:
            return f"np.empty({n.shape}, {dtype_name(n.dtype)})"
        where = basic_index(n.arg, n.src[0].shape)
        if where is None:
            return f"{self.use('strided')}({x}, {n.arg.shape}, {n.arg.axes})"
        return view_text(x, where)

    def reduce(self, n: Node, x: str) -> str:
        source, combine = n.src[0], n.op.combine
        lowered = n.arg if isinstance(n.arg, Reduction) else None
        axes: Any = lowered.axes if lowered else n.arg
        if combine in ("argmax", "argmin"):
            if len(axes) == 1:
                return f"np.{combine}({x}, axis={axes[0]})"
            if len(axes) == source.type.ndim:
                return f"np.{combine}({x})"
            return f"{self.use('first')}(np.{combine}, {x}, {axes})"
        dtype = dtype_name(n.dtype)
        if lowered is None or not lowered.block:
            return f"np.{combine}.reduce({x}, axis={axes}, dtype={dtype})"
        return _blocked(lowered, source, x, combine, dtype)

    def generate(self, n: Node) -> str:
        arg: Any = n.arg
        match n.op.name:
            case "full":
                return f"np.full({n.shape}, {operand(n.src[0])}, {dtype_name(n.dtype)})"
            case "empty":
                return f"np.zeros({n.shape}, {dtype_name(n.dtype)})"
            case "index":
                line = [1] * n.type.ndim
                line[arg] = n.shape[arg]
                numbers = f"np.arange({n.shape[arg]}, dtype={dtype_name(n.dtype)})"
                spread = numbers if len(line) == 1 else f"{numbers}.reshape({tuple(line)})"
                return spread if len(line) == 1 else f"np.broadcast_to({spread}, {n.shape})"
            case "random":
                key, counter = (operand(s) for s in n.src)
                given = ", counters_given=True" if arg == "draw" else ""
                return f"{self.use('random')}({key}, {counter}, {n.shape}{given})"
            case name:
                raise TypeError(f"no statement for generator {name}")

    def call(self, n: Node) -> str:
        spec = n.arg if isinstance(n.arg, CallSpec) else CallSpec(n.op.name, (("arg", n.arg),))
        args = [operand(s) for s in n.src]
        options = dict(spec.options)
        several = n in self.items
        spelled = None if several else _spelled(spec.name, options, args, n)
        if spelled is not None:
            return spelled
        results = sorted(self.items.get(n, [n]), key=_slot) if several else [n]
        types = ", ".join(f"({m.shape}, {dtype_name(m.dtype)})" for m in results)
        given = "".join(f"{k!r}: {self.option(v)}, " for k, v in options.items()).rstrip(", ")
        return f"{self.use('library')}({spec.name!r}, [{', '.join(args)}], [{types}], {{{given}}})"

    def task(self, n: Node) -> str:
        """A launch: its roles and views, how it is cut, and what it is given. The last argument is the user's function."""
        assert isinstance(n.arg, TaskArg)
        sources = ", ".join(operand(s) for s in n.src[:-1])
        cut = f"launch{n.number}"
        self.constants += [
            f"{cut} = TaskArg(  # {n.arg.spec.name}",
            *(line for part in n.arg for line in wrapped("    ", repr(part), ",")),
            ")",
        ]
        for name, room in (
            ("TaskArg, TaskArgument, TaskSpec", "tasks.task"),
            ("*", "tasks.partition"),
            ("Affine", "index"),
        ):
            self.imports[f"from legate_jit.ir.{room} import {name}"] = None
        return f"{self.use('task')}({cut}, [{sources}], {operand(n.src[-1])})"

    def option(self, value: Any) -> str:
        text = repr(value)
        if "dtype(" in text:
            self.imports["from numpy import dtype"] = None
        if "Affine(" in text:
            self.imports["from legate_jit.ir.index import Affine"] = None
        return text


def _slot(n: Node) -> int:
    assert isinstance(n.arg, int) or n.kind is not Kind.ITEM
    return n.arg if isinstance(n.arg, int) else 0


def _spelled(name: str, options: dict[str, Any], args: list[str], n: Node) -> str | None:
    """A library call as NumPy spells it, where that means exactly the same; else None."""
    match name:
        case "ufunc" if len(set(options["loop"])) == 1 and options["name"] != "where":
            loop = dtype_name(options["loop"][0])
            cast = "" if all(s.dtype == options["loop"][0] for s in n.src) else ", casting='unsafe'"
            signature = ", ".join([loop] * len(args) + [dtype_name(n.dtype)])
            return f"np.{options['name']}({', '.join(args)}, signature=({signature}){cast})"
        case "numpy":
            rest = "".join(f", {k}={v!r}" for k, v in options.items() if k != "function")
            return f"np.{options['function']}({', '.join(args)}{rest}).astype({dtype_name(n.dtype)})"
        case "matmul" if (
            n.dtype.kind == "f" and n.dtype.itemsize > 2 and all(s.dtype == n.dtype for s in n.src)
        ):
            return f"np.matmul({', '.join(args)})"
        case "sort" | "argsort":
            return f"np.{name}({args[0]}, axis={options['axis']!r}, kind={options['kind']!r})"
        case _:
            return None


def _blocked(how: Reduction, source: Node, x: str, combine: str, dtype: str) -> str:
    """Partial results of blocks of `how.block`, along the inner axis (last) or the outermost reduced one (first)."""
    shape = source.shape
    if how.inner in how.axes:
        if len(how.axes) == source.type.ndim:
            return f"np.{combine}.reduceat(np.ravel({x}), np.arange(0, {source.type.size}, {how.block}), dtype={dtype})"
        starts = f"np.arange(0, {shape[how.inner]}, {how.block})"
        return f"np.{combine}.reduceat(np.moveaxis({x}, {how.inner}, -1), {starts}, axis=-1, dtype={dtype})"
    outer, rest = how.axes[0], how.axes[1:]
    starts = f"np.arange(0, {shape[outer]}, {how.block})"
    partial = f"np.{combine}.reduceat(np.moveaxis({x}, {outer}, 0), {starts}, axis=0, dtype={dtype})"
    return f"np.{combine}.reduce({partial}, axis={rest})" if rest else partial


class Basic(NamedTuple):
    """An index map in NumPy's words: `x[picked].transpose(order)`, then broadcast to the shape `spread`."""

    picked: str
    order: tuple[int, ...] | None
    spread: tuple[int, ...] | None


def basic_index(view: Affine, base: tuple[int, ...]) -> Basic | None:
    """The basic indexing, permutation and broadcasting that `view` of an array of shape `base` is; None for diagonals."""
    used = [axis for _, _, axis in view.axes if axis >= 0]
    if len(set(used)) < len(used) or any(axis >= 0 and step == 0 for _, step, axis in view.axes):
        return None
    missing = [k for k in range(len(view.shape)) if k not in used]
    ordered = used == sorted(used)
    entries: list[str] = []
    new = list(missing) if ordered else []
    for (start, step, axis), n in zip(view.axes, base, strict=True):
        while new and 0 <= new[0] < axis:
            entries.append("None")
            new.pop(0)
        entries.append(str(start) if axis < 0 else slice_text(start, step, view.shape[axis], n))
    entries += ["None"] * (len(new) if ordered else len(missing))
    while entries and entries[-1] == ":":
        entries.pop()
    order = None
    if not ordered:
        current = used + missing
        order = tuple(current.index(k) for k in range(len(view.shape)))
    spread = view.shape if any(view.shape[k] != 1 for k in missing) else None
    return Basic(f"[{', '.join(entries)}]" if entries else "", order, spread)


def slice_text(start: int, step: int, count: int, n: int) -> str:
    """The slice with `count` elements from `start` of an axis of extent `n`, as a person would write it."""
    if count == 1:
        return ":" if n == 1 else f"{start}:{start + 1}"
    stop = start + step * (count - 1) + (1 if step > 0 else -1)
    if step < 0:
        first = "" if start == n - 1 else str(start)
        return f"{first}:{stop if stop >= 0 else ''}:{step}"
    first = str(start) if start else ""
    near = 0 < n - stop < min(step + 8, n // 2)
    last = (
        ""
        if n - step < stop <= n and (n - 1 - start) // step + 1 == count
        else str(stop - n if near else stop)
    )
    return f"{first}:{last}" + (f":{step}" if step != 1 else "")


def view_text(x: str, where: Basic) -> str:
    """NumPy's spelling of a view of `x`."""
    text = x + where.picked
    if where.order is not None:
        plain = where.order == tuple(range(len(where.order)))[::-1]
        text += ".T" if plain else f".transpose({where.order})"
    return text if where.spread is None else f"np.broadcast_to({text}, {where.spread})"
