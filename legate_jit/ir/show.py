"""Text of graphs: a graph prints as a NumPy program that runs. Pure text; knows no runtime and no terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from legate_jit.ir import dtypes
from legate_jit.ir.build import CallSpec
from legate_jit.ir.index import Affine
from legate_jit.ir.lower import Reduction
from legate_jit.ir.node import ArrayType, Node
from legate_jit.ir.ops import Kind
from legate_jit.ir.rewrite import Graph

_INFIX = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "floor_divide": "//", "remainder": "%", "power": "**",
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!=",
    "bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^", "left_shift": "<<", "right_shift": ">>",
}  # fmt: skip
_REDUCTIONS = {"sum": "sum", "prod": "prod", "max": "max", "min": "min", "any": "any", "all": "all"}

#: what a dump needs beyond NumPy, by name
HELPERS = {
    "view": """def view(x, shape, axes):
    # axes[d] = (start, step, axis of the result or -1): where the result's elements lie along axis d of x
    strides = [0] * len(shape)
    for (_, step, axis), s in zip(axes, x.strides):
        if axis >= 0:
            strides[axis] += step * s
    corner = x[tuple(slice(start, start + 1) for start, _, _ in axes)]
    return np.lib.stride_tricks.as_strided(corner, shape, strides)
""",
    "first": """def first(find, x, axes):
    # position, in row-major order over axes, of the first extremum
    kept = [d for d in range(x.ndim) if d not in axes]
    return find(x.transpose(*kept, *axes).reshape([x.shape[d] for d in kept] + [-1]), axis=-1)
""",
    "call": """def call(name, shape, dtype, *args, options):
    from legate_jit.backends import library
    out = np.empty(shape, dtype)
    library.call(name, args, [out], options)
    return out
""",
    "map_op": "from legate_jit.backends.reference import map_op\n",
    "philox": "from legate_jit.backends.reference import philox\n",
}


def short(t: ArrayType) -> str:
    """A type in a few letters: f8[401,401]."""
    return f"{dtypes.code(t.dtype)}[{','.join(map(str, t.shape))}]"


def name(n: Node) -> str:
    """What a node is called in dumps: x for inputs, s for scalars, v for computed values."""
    match n.kind:
        case Kind.BUFFER:
            return f"x{n.arg}"
        case Kind.SCALAR:
            return f"s{n.arg}"
        case Kind.CONST:
            return constant(n)
        case _:
            return f"v{n.number}"


def constant(n: Node) -> str:
    """A typed literal."""
    text = repr(n.arg)
    special = {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}
    return f"{_dtype(n)}({special.get(text, text)})"


def _dtype(n: Node) -> str:
    return f"np.{n.dtype.name}" if n.dtype.name != "bool" else "np.bool_"


def _tuple(values: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, values))}{',' if len(values) == 1 else ''})"


# ---- index maps --------------------------------------------------------------------------------------------------


def subscript(view: Affine, base: tuple[int, ...]) -> str | None:
    """The index map as a NumPy key ('1:-1, 2:'), or None when a key cannot say it."""
    fixed = [axis < 0 or step == 0 for _, step, axis in view.axes]
    targets = [axis for (_, _, axis), still in zip(view.axes, fixed, strict=True) if not still]
    if targets != sorted(set(targets)):
        return None
    parts: list[str] = []
    following = 0
    for (start, step, axis), still, n in zip(view.axes, fixed, base, strict=True):
        if still:
            parts.append(str(start))
            continue
        parts.extend(["None"] * (axis - following))
        parts.append(_slice(start, step, view.shape[axis], n))
        following = axis + 1
    parts.extend(["None"] * (len(view.shape) - following))
    free = [d for d in range(len(view.shape)) if d not in targets]
    return None if any(view.shape[d] != 1 for d in free) else ", ".join(parts)


def _slice(start: int, step: int, length: int, n: int) -> str:
    if length == 0:
        return "0:0"
    stop = start + step * length - (step - 1 if step > 0 else step + 1)
    first = "" if (start == 0 if step > 0 else start == n - 1) else str(start)
    if step > 0:
        last = "" if start + step * length >= n else str(stop) if n - stop > max(start + 3, 4) else str(stop - n)
    else:
        last = "" if start + step * length < 0 else str(stop)
    return f"{first}:{last}" + (f":{step}" if step != 1 else "")


def moved(x: str, view: Affine, base: tuple[int, ...]) -> str:
    """An expression for what the map shows of the array called `x`."""
    if not base and not view.shape:
        return x
    key = subscript(view, base)
    if key is not None:
        return f"{x}[{key}]" if key else f"{x}[()]"
    order = [axis for _, step, axis in view.axes if axis >= 0 and step != 0]
    if len(set(order)) < len(order) or 0 in view.shape:
        return f"view({x}, {_tuple(view.shape)}, {view.axes})"
    return _general(x, view, base, order)


def _general(x: str, view: Affine, base: tuple[int, ...], order: list[int]) -> str:
    """Slices, then a transpose, then a broadcast."""
    ranked = sorted(order)
    plain = Affine(
        tuple(view.shape[axis] for axis in order),
        tuple((s, t, order.index(axis)) if axis >= 0 and t else (s, 0, -1) for s, t, axis in view.axes),
    )
    key = subscript(plain, base)
    whole = all(part == ":" for part in str(key).split(", "))
    text = x if whole or not base else f"{x}[{key}]"
    if order != ranked:
        text += f".transpose({', '.join(str(order.index(axis)) for axis in ranked)})"
    if len(ranked) < len(view.shape):
        key = ", ".join(":" if d in ranked else "None" for d in range(len(view.shape)))
        if not key.startswith("None") or "None, :" not in key or ":, None" in key or any(view.shape[d] == 1 for d in range(len(view.shape)) if d not in ranked):
            text = f"{text}[{key}]"
        if any(view.shape[d] != 1 for d in range(len(view.shape)) if d not in ranked):
            text = f"np.broadcast_to({text}, {_tuple(view.shape)})"
    return text


# ---- nodes -------------------------------------------------------------------------------------------------------


def expression(n: Node) -> str:
    """The node as a NumPy expression over the names of its sources (updates are statements, see `statements`)."""
    src = [name(s) for s in n.src]
    arg: Any = n.arg
    match n.kind:
        case Kind.MAP:
            return _map(n, src)
        case Kind.MOVE:
            return moved(src[0], arg, n.src[0].shape)
        case Kind.RESHAPE:
            return f"{src[0]}.reshape({_tuple(n.shape)})"
        case Kind.BITCAST:
            return f"np.ascontiguousarray({src[0]}).view({_dtype(n)}).reshape({_tuple(n.shape)})"
        case Kind.REDUCE:
            return _reduce(n, src[0])
        case Kind.SCAN:
            return f"np.{n.op.name}({src[0]}, axis={arg}, dtype={_dtype(n)})"
        case Kind.GENERATE:
            return _generate(n, src)
        case Kind.CALL:
            return _call(n, src)
        case Kind.ITEM:
            return f"{src[0]}[{arg}]"
        case _:
            return f"{n.op.name}({', '.join(src)})"


def _map(n: Node, src: list[str]) -> str:
    op = n.op.name
    match op:
        case _ if op in _INFIX:
            return f"{src[0]} {_INFIX[op]} {src[1]}"
        case "negative":
            return f"-{src[0]}"
        case "cast":
            return f"{src[0]}.astype({_dtype(n)})"
        case "where":
            return f"np.where({', '.join(src)})"
        case "real" | "imag":
            return f"{src[0]}.{op}"
        case "complex" | "erf" | "erfc" | "user":
            return f"map_op('{op}', np.dtype({_dtype(n)}), [{', '.join(src)}])"
        case _:
            return f"np.{op}({', '.join(src)})"


def _reduce(n: Node, x: str) -> str:
    axes = n.arg.axes if isinstance(n.arg, Reduction) else n.arg
    assert isinstance(axes, tuple)
    where = f"axis={axes[0] if len(axes) == 1 else axes}"
    if n.op.combine in ("argmax", "argmin"):
        if len(axes) == 1 or axes == tuple(range(n.src[0].type.ndim)):
            return f"np.{n.op.combine}({x}{', ' + where if len(axes) == 1 else ''})"
        return f"first(np.{n.op.combine}, {x}, {axes})"
    if n.op.name in ("sum", "prod"):
        return f"np.{n.op.name}({x}, {where}, dtype={_dtype(n)})"
    if n.op.name in _REDUCTIONS:
        return f"np.{n.op.name}({x}, {where})"
    return f"np.{n.op.combine}.reduce({x}, {where})"


def _generate(n: Node, src: list[str]) -> str:
    shape = _tuple(n.shape)
    match n.op.name:
        case "full":
            return f"np.full({shape}, {src[0]}, {_dtype(n)})"
        case "empty":
            return f"np.zeros({shape}, {_dtype(n)})  # contents undefined"
        case "index":
            axis = n.arg
            assert isinstance(axis, int)
            line = [1] * len(n.shape)
            line[axis] = n.shape[axis]
            return f"np.broadcast_to(np.arange({n.shape[axis]}).reshape({_tuple(tuple(line))}), {shape})"
        case _ if n.arg == "draw":
            return f"np.broadcast_to(philox({', '.join(src)}), {shape})"
        case _:
            return f"philox({src[0]}, {src[1]} + np.arange({n.type.size}, dtype=np.uint64)).reshape({shape})"


def _call(n: Node, src: list[str]) -> str:
    spec = n.arg
    assert isinstance(spec, CallSpec)
    options = dict(spec.options)
    if spec.name == "ufunc" and len(set(options["loop"])) == 1:
        return f"np.{options['name']}({', '.join(src)})"
    if spec.name == "matmul":
        return f"{src[0]} @ {src[1]}"
    if spec.name == "numpy":
        function = options.pop("function")
        return f"np.{function}({', '.join([*src, *(f'{k}={v!r}' for k, v in options.items())])})"
    words = ", ".join(f"{k!r}: {_literal(v)}" for k, v in options.items())
    return f"call({', '.join([repr(spec.name), _tuple(n.shape), _dtype(n), *src])}, options={{{words}}})"


def _literal(value: Any) -> str:
    import numpy as np

    if isinstance(value, np.dtype):
        return f"np.dtype({value.str!r})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def statements(n: Node) -> list[str]:
    """The node as one or two statements that define its name."""
    if n.kind is not Kind.UPDATE:
        return [f"{name(n)} = {expression(n)}"]
    old, value = (name(s) for s in n.src)
    assert isinstance(n.arg, Affine)
    key = subscript(n.arg, n.shape)
    target = f"{name(n)}[{key or '...'}]" if key is not None else f"{moved(name(n), n.arg, n.shape)}[...]"
    return [f"{name(n)} = np.array({old})", f"{target} = {value}"]


def program(graph: Graph, title: str = "flush", note: Callable[[Node], str] = lambda n: "") -> str:
    """The graph as a Python module: imports, one function of the inputs and scalars, and example inputs to call it with.

    `note(node)` may add a remark (where the user wrote it) to a line.
    """
    inputs = sorted((n for n in graph.nodes if n.kind is Kind.BUFFER), key=lambda n: n.arg)  # type: ignore[arg-type,return-value]
    scalars = sorted((n for n in graph.nodes if n.kind is Kind.SCALAR), key=lambda n: n.arg)  # type: ignore[arg-type,return-value]
    lines = []
    for n in graph.nodes:
        if n.kind in (Kind.BUFFER, Kind.SCALAR, Kind.CONST):
            continue
        remark = "  ".join(filter(None, [short(n.type), note(n)]))
        first, *more = statements(n)
        lines.append(f"    {first:<60}  # {remark}")
        lines.extend(f"    {line}" for line in more)
    results = ", ".join(name(r) for r in graph.roots)
    body = "\n".join([*lines, f"    return ({results},)" if results else "    return ()"])
    parameters = [f"{name(n)}" for n in (*inputs, *scalars)]
    needed = [text for key, text in HELPERS.items() if f"{key}(" in body]
    examples = [f"    np.ones({_tuple(n.shape)}, {_dtype(n)}),  # {name(n)}" for n in inputs]
    examples += [f"    {_dtype(n)}(1),  # {name(n)}" for n in scalars]
    head = ["import numpy as np", "", *needed] if needed else ["import numpy as np", ""]
    return "\n".join(
        [
            *head,
            f"def {title}({', '.join(parameters)}):",
            body,
            "",
            "example = (",
            *examples,
            ")",
            "",
            'if __name__ == "__main__":',
            f"    print(*{title}(*example), sep='\\n')",
            "",
        ]
    )
