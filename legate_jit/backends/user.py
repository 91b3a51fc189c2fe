"""Users' scalar functions as LLVM IR, for kernels to inline: Numba compiles, this module keeps what kernels need of the result.

A function is refused (None) when Numba cannot type it for the given arguments, when it may raise, or when it calls something
that compiled code cannot reach. Knows Numba and LLVM's text; no arrays, no graph. Numba is imported at the first question.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from legate_jit.backends import cpu, native, reference

__all__ = ["Compiled", "compile_function"]

_NUMBA = {"f8": "float64", "i8": "int64", "b1": "boolean"}
_CODES = {name: code for code, name in _NUMBA.items()} | {"bool": "b1"}
_LLVM = {"f8": "double", "i8": "i64", "b1": "i8"}
_numbers = itertools.count()


class Compiled(NamedTuple):
    """A function kernels can call: its symbol, the dtype code every argument has, and the result's."""

    symbol: str
    loop: str
    result: str


def compile_function(function: Callable[..., Any], codes: tuple[str, ...]) -> Compiled | None:
    """Compile a Python function of scalars with dtype codes `codes` ('f8', 'i8', 'b1').

    Mixed arguments all travel as float64, so integers among them must be exact in it. Arithmetic is NumPy's: division by zero
    gives inf or nan instead of raising.
    """
    import numba
    from numba.core import types
    from numba.core.errors import NumbaError

    try:
        signature = tuple(getattr(types, _NUMBA[c]) for c in codes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = numba.cfunc(_returning(numba, function, signature), error_model="numpy")(function)
    except (NumbaError, NotImplementedError, KeyError, TypeError, AttributeError):
        return None
    result = _CODES.get(str(getattr(made, "_sig").return_type))  # noqa: B009
    if result is None:
        return None
    symbol = f"legate_user_{next(_numbers)}"
    loop = codes[0] if len(set(codes)) == 1 else "f8"
    text = _extract(made.inspect_llvm(), symbol, codes, loop, result)
    if text is None or not _links(text, symbol):
        return None
    cpu.register_user(symbol, text)
    reference.register_user(symbol, _on_arrays(function, codes, result))
    return Compiled(symbol, loop, result)


def _returning(numba: Any, function: Callable[..., Any], signature: tuple[Any, ...]) -> Any:
    """The signature with the result type that Numba infers."""
    compiled = numba.njit(error_model="numpy")(function)
    compiled.compile(signature)
    return compiled.overloads[signature].signature.return_type(*signature)


def _on_arrays(function: Callable[..., Any], codes: tuple[str, ...], result: str) -> Callable[..., Any]:
    """The function elementwise, as the reference target runs it."""
    import numpy as np

    kinds = {"f8": float, "i8": int, "b1": bool}
    casts = [kinds[c] for c in codes]

    def one(*args: Any) -> Any:
        return function(*(cast(a) for cast, a in zip(casts, args, strict=True)))

    return np.vectorize(one, otypes=[kinds[result]])


def _links(text: str, symbol: str) -> bool:
    """Whether the text is valid and complete by itself, so that no kernel fails because of it."""
    exported = re.sub(rf"^define internal (\w+ @{symbol}\()", r"define \1", text, flags=re.M)
    try:
        native.compile_ir(f'target triple = "{native.host_triple()}"\n{exported}', (symbol,))
    except native.NativeError:
        return False
    return True


# ---- the text ----------------------------------------------------------------------------------------------------

_NAME = r'@(?:"[^"]+"|[-\w.$]+)'
_LINKAGE = (
    r"(?:(?:noundef|dso_local|weak_odr|linkonce_odr|internal|private|local_unnamed_addr|unnamed_addr) )*"
)
_DEFINITION = re.compile(rf"^define [^@]*({_NAME})\((.*)\)[^{{]*\{{$", re.M)


def _extract(text: str, symbol: str, codes: tuple[str, ...], loop: str, result: str) -> str | None:
    """The definitions a kernel needs under names nobody else uses, and a C function `symbol` around them."""
    bodies = [
        b for b in re.findall(r"^define .*?^\}$", text, re.M | re.S) if "@cfunc." not in b.split("{")[0]
    ]
    text_of = "\n".join(bodies)
    constants = [
        m.group(0)
        for m in re.finditer(rf"^({_NAME}) = .*$", text, re.M)
        if re.search(re.escape(m.group(1)) + r"(?![-\w.$])", text_of)
    ]
    if any(" external " in c or " common " in c for c in constants):
        return None
    globals_ = [c.split(" = ")[0] for c in constants]
    entry = _entry_of(text)
    if entry is None or not bodies:
        return None
    heads = {m.group(1): m.group(2) for b in bodies for m in [_DEFINITION.search(b)] if m is not None}
    if entry not in heads or not _cannot_raise(heads[entry]):
        return None
    kept = "\n".join([*constants, *bodies])
    declared = _declarations(text, kept)
    if declared is None:
        return None
    names = {old: f"@{symbol}_{k}" for k, old in enumerate(dict.fromkeys([*heads, *globals_]))}
    body = _plain(kept)
    body = re.sub(_NAME, lambda m: names.get(m.group(0), m.group(0)), body)
    body = re.sub(rf"^define {_LINKAGE}", "define internal ", body, flags=re.M)
    body = re.sub(rf"^(@\S+ = ){_LINKAGE}", r"\1private ", body, flags=re.M)
    return "\n".join([*declared, body, _wrapper(symbol, names[entry], codes, loop, result), ""])


def _entry_of(text: str) -> str | None:
    """The function the C wrapper calls."""
    wrapper = re.search(r"^define [^\n]*@(?:\"cfunc\.|cfunc\.).*?^\}$", text, re.M | re.S)
    if wrapper is None:
        return None
    called = re.search(rf"call [^@\n]*?({_NAME})\(", wrapper.group(0))
    return called.group(1) if called else None


def _cannot_raise(arguments: str) -> bool:
    """Whether LLVM proved that the second argument, where exceptions go, is never used."""
    parts = [p for p in arguments.split(",") if "%excinfo" in p]
    return len(parts) == 1 and "readnone" in parts[0]


def _declarations(text: str, kept: str) -> list[str] | None:
    """Declarations of what the kept functions call; None if compiled code cannot reach one of them."""
    out = []
    for line in re.findall(r"^declare .*$", text, re.M):
        found = re.search(_NAME, line)
        assert found is not None
        name = found.group(0)
        if not re.search(re.escape(name) + r"\b", kept):
            continue
        if not name.startswith("@llvm.") and not native.has_symbol(name.strip('@"')):
            return None
        out.append(_plain(line))
    return out


def _plain(text: str) -> str:
    """The text without attribute groups, metadata and comments, whose numbers would clash with the kernel's."""
    text = re.sub(r"^;.*$|\s+;.*$", "", text, flags=re.M)
    text = re.sub(r",? ![\w.]+ !\d+", "", text)
    text = re.sub(r" #\d+", "", text)
    return re.sub(r"\n{2,}", "\n", text)


def _wrapper(symbol: str, entry: str, codes: tuple[str, ...], loop: str, result: str) -> str:
    """C scalars in and out (booleans as bytes), around Numba's convention (result by address, status returned)."""
    kind, out = _LLVM[loop], _LLVM[result]
    lines = [
        f"define internal {out} @{symbol}({', '.join(f'{kind} %a{k}' for k in range(len(codes)))}) alwaysinline {{",
        f"  %out = alloca {out}",
        "  %exc = alloca ptr",
    ]
    passed = []
    for k, code in enumerate(codes):
        name = f"%a{k}"
        if code != loop:
            name = f"%c{k}"
            if code == "i8":
                lines.append(f"  {name} = fptosi double %a{k} to i64")
            else:
                lines += [f"  %t{k} = fcmp une double %a{k}, 0.0", f"  {name} = zext i1 %t{k} to i8"]
        passed.append(f"{_LLVM[code]} {name}")
    lines += [
        f"  %status = call i32 {entry}(ptr %out, ptr %exc, {', '.join(passed)})",
        f"  %value = load {out}, ptr %out",
        f"  ret {out} %value",
        "}",
    ]
    return "\n".join(lines)
