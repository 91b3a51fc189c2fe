"""Elementwise operations: from operands of any kind to a recorded instruction, with NumPy's promotion, `out=`, `where=`, casting.

One table of signatures per op, keyed by operand types (array types, or the class of a scalar), is shared with the operators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cupynumeric._caller import warn_of_lost_parts
from legate_jit import runtime
from legate_jit.ir import dtypes, index, infer
from legate_jit.ir.node import Signature
from legate_jit.ir.ops import OPS, Op
from legate_jit.runtime import window

if TYPE_CHECKING:
    from cupynumeric._array import ndarray

Key = tuple[Any, ...]
_caches: dict[str, dict[Key, Signature]] = {}

_WEAK = (int, float, complex)


for _name in OPS:
    _caches[_name] = {}
    runtime.bounded.append((_caches[_name], 50_000))


def cache_of(name: str) -> dict[Key, Signature]:
    """The signature table of an op."""
    return _caches.setdefault(name, {})


def _types() -> type[ndarray]:
    from cupynumeric._array import Ours

    return Ours


def is_scalar(x: Any) -> bool:
    """Whether x is a scalar that can take a run-time slot (its class fixes its dtype)."""
    cls = x.__class__
    return cls in _WEAK or cls is bool or (isinstance(x, np.generic) and dtypes.is_supported(x.dtype))


def is_foreign(x: Any) -> bool:
    """Whether binary operators leave the work to x's own: it says so, is a subclass of numpy.ndarray (a masked array), or,
    without ufunc overrides, claims priority (a sparse matrix)."""
    cls = x.__class__
    if cls is np.ndarray or isinstance(x, (_types(), np.generic, int, float, complex, list, tuple)):
        return False
    if isinstance(x, np.ndarray):
        return True
    override = getattr(cls, "__array_ufunc__", False)
    return override is None or (override is False and hasattr(cls, "__array_priority__"))


def overrides(x: Any) -> bool:
    """Whether x has a ufunc override of its own, which NumPy's dispatch must find."""
    cls = type(x)
    return (
        not issubclass(cls, (_types(), np.ndarray, np.generic))
        and getattr(cls, "__array_ufunc__", None) is not None
    )


def operand(x: Any) -> Any:
    """x as an ndarray of ours, a scalar, or a NumPy array of a dtype graphs do not hold."""
    if isinstance(x, _types()) or is_scalar(x):
        return x
    from cupynumeric._creation import asarray

    return asarray(x)


def signature(
    op: Op, operands: tuple[Any, ...], dtype: Any = None, casting: infer.Casting = "same_kind"
) -> Signature:
    """The signature for these operands (arrays read through their own views), from the op's table or NumPy's rules."""
    ours = _types()
    if dtype is not None or casting != "same_kind":
        return _derive(op, operands, None if dtype is None else np.dtype(dtype), casting)
    key = tuple([x._key if isinstance(x, ours) else x.__class__ for x in operands])
    cache = cache_of(op.name)
    sig = cache.get(key)
    if sig is None:
        sig = _derive(op, operands, None, casting)
        if not any(isinstance(x, ours) and not _simple(x) for x in operands):
            cache[key] = sig
    return sig


def _derive(op: Op, operands: tuple[Any, ...], dtype: np.dtype | None, casting: infer.Casting) -> Signature:
    ours = _types()
    types = tuple([x._type if isinstance(x, ours) else x.__class__ for x in operands])
    views = tuple([x._lens.view if x._lens is not None else None for x in operands if isinstance(x, ours)])
    if dtype is not None or casting != "same_kind":
        return infer.through(infer.map_signature(op, types, dtype, casting), views)
    cache = cache_of(op.name)  # operands without views have their types as keys
    plain = cache.get(types)
    if plain is None:
        plain = cache[types] = infer.map_signature(op, types, dtype, casting)
    return infer.through(plain, views)


def _simple(x: ndarray) -> bool:
    """Whether the array is a whole store or one index map into it, which a signature can fold in."""
    return x._lens is None or x._lens.view is not None


def source(x: ndarray) -> int:
    """The value number an instruction names for operand `x`: its store's value when its signature folds the view in."""
    from cupynumeric._array import value

    return runtime.value_of(x._store) if _simple(x) else value(x)


def _recorded(sig: Signature, operands: tuple[Any, ...]) -> Any:
    """The result of an instruction on these operands: value numbers of the arrays, in order, and the scalars."""
    ours = _types()
    numbers = [source(x) for x in operands if isinstance(x, ours)]
    return _result(sig, *numbers, scalars=[x for x in operands if not isinstance(x, ours)])


def call(
    op: Op,
    inputs: tuple[Any, ...],
    out: ndarray | None = None,
    where: Any = True,
    dtype: Any = None,
    casting: infer.Casting = "same_kind",
) -> Any:
    """Apply elementwise `op`. Inputs: anything `operand` accepts. Returns an array (0-d for scalars), or `out`.

    Raises NumPy's errors for shapes, dtypes and casts. Operands of dtypes outside the graph go to NumPy.
    """
    if out is None and where is True and dtype is None:
        done = _known(op, inputs)
        if done is None and not all(type(x) in _PLAIN for x in inputs):
            if op.ufunc is not None and any(overrides(x) for x in inputs):
                return op.ufunc(*inputs)
            done = _kept_masked(op, inputs)
        if done is not None:
            return done
    operands = tuple([operand(x) for x in inputs])
    if any(isinstance(x, np.ndarray) for x in operands):
        return _by_numpy(op, operands, out, where, dtype, casting)
    if not any(isinstance(x, _types()) for x in operands):
        operands = (_lifted(operands[0]), *operands[1:])
    try:
        sig = signature(op, operands, dtype, casting)
    except infer.Unsupported:
        return _by_numpy(op, operands, out, where, dtype, casting)
    if dtype is not None:
        for x, loop in zip(operands, sig.loop, strict=False):
            if isinstance(x, _types()):
                warn_of_lost_parts(x.dtype, loop)
    if sig.bounds is not None and op.name == "where":
        operands = tuple([_wrapped(x, sig) if x.__class__ is int else x for x in operands])
    elif sig.bounds is not None:
        special = _out_of_range(op, sig, operands)
        if special is not None:
            return special if out is None else store_result(out, special, where, casting)
    if out is None and where is True:
        return _recorded(sig, operands)
    target = out if out is not None else _undefined(sig, where)
    done = _recorded(sig, operands)
    return store_result(target, done, where, casting, op.name)


def _known(op: Op, inputs: tuple[Any, ...]) -> Any:
    """The result when these operand types were seen before and nothing has to be checked; else None."""
    sig = _caches[op.name].get(tuple([x._key if x.__class__ is _ndarray else x.__class__ for x in inputs]))
    if sig is None:
        return _known_parts(op, inputs)
    if sig.bounds is not None:
        return None
    srcs: list[int] = []
    scalars: list[Any] = []
    for x in inputs:
        if x.__class__ is _ndarray:
            v = x._store.value
            if v is None:
                if sig.at_once and not srcs:
                    done = _at_once(sig, inputs)
                    if done is not None:
                        return done
                v = window.enter(x._store)
            srcs.append(v)
        else:
            scalars.append(x)
    return _result(sig, *srcs, scalars=scalars)


def _known_parts(op: Op, inputs: tuple[Any, ...]) -> Any:
    """The same for operands of which some are views that no signature folds in (`z.real`): those are read first."""
    key: list[Any] = []
    folded = True
    for x in inputs:
        if x.__class__ is not _ndarray:
            return None
        lens = x._lens
        if lens is None or lens.view is not None:
            key.append(x._key)
        else:
            key.append(x._type)
            folded = False
    sig = None if folded else _caches[op.name].get(tuple(key))
    if sig is None or sig.bounds is not None:
        return None
    return _result(sig, *[source(x) for x in inputs])


# `_array` puts its class and `result` here: the two modules need each other.
_ndarray: Any = None
#: carries out an instruction whose operands are there; `_instant`'s own
_at_once: Any = None
_result: Any = None
_PLAIN: set[type] = {int, float, complex, bool}  # and ndarray itself, which adds itself when it exists


def _kept_masked(op: Op, inputs: tuple[Any, ...]) -> Any:
    """The result as a lazy masked selection, when an operand is one and the others allow it."""
    from cupynumeric import _masked

    if not any(isinstance(x, _masked.Selection) for x in inputs):
        return None
    return _masked.call(op, inputs)


def _lifted(x: Any) -> ndarray:
    """A scalar as a 0-d array; a Python scalar keeps NumPy's default dtype for it."""
    from cupynumeric._convert import from_numpy

    return from_numpy(np.asarray(x))


def _undefined(sig: Signature, where: Any) -> ndarray:
    from cupynumeric._creation import empty

    shape = np.broadcast_shapes(sig.type.shape, np.shape(where))
    made: ndarray = empty(shape, sig.type.dtype)
    return made


def _wrapped(x: int, sig: Signature) -> int:
    """`where` takes Python integers as assignment from an array does: modulo the dtype's range."""
    return int(np.asarray(x).astype(sig.type.dtype))


def _out_of_range(op: Op, sig: Signature, operands: tuple[Any, ...]) -> Any:
    """Comparisons with a Python int outside the dtype's range have an answer; everything else is an OverflowError."""
    for k, x in enumerate(operands):
        if x.__class__ is int and not sig.bounds[0] <= x <= sig.bounds[1]:  # type: ignore[index]
            if sig.type.dtype != dtypes.BOOL or op.ufunc is None or "logical" in op.name:
                raise OverflowError(f"Python integer {x} out of bounds for {sig.loop[k].name}")
            probe = np.zeros(1, sig.loop[k])
            answer = op.ufunc(probe, x) if k else op.ufunc(x, probe)
            from cupynumeric._creation import full

            return full(sig.type.shape, bool(answer[0]), dtypes.BOOL)
    return None


def _by_numpy(op: Op, operands: tuple[Any, ...], out: Any, where: Any, dtype: Any, casting: str) -> Any:
    from cupynumeric._convert import to_numpy_tree

    if op.ufunc is None:
        raise TypeError(f"{op.name} is not supported for these dtypes")
    args, mask = to_numpy_tree(operands), to_numpy_tree(where)
    options: dict[str, Any] = {"casting": casting} if dtype is None else {"casting": casting, "dtype": dtype}
    if out is None:
        got = op.ufunc(*args, where=mask, **options)
        return got if not dtypes.is_supported(np.asarray(got).dtype) else operand(np.asarray(got))
    host = to_numpy_tree(out).copy()
    op.ufunc(*args, out=host, where=mask, **options)
    return store_result(out, operand(host), True, "unsafe")


def store_result(out: ndarray, done: ndarray, where: Any, casting: str, name: str = "add") -> ndarray:
    """Put `done` into `out` (where `where`), checking the cast and the shape as ufuncs do. Returns out."""
    from cupynumeric._array import assign, refuses_writes

    ours = _types()
    if not isinstance(out, ours):
        raise TypeError("return arrays must be of ArrayType")
    if refuses_writes(out):
        raise ValueError("output array is read-only")
    if not np.can_cast(done.dtype, out.dtype, casting):  # type: ignore[arg-type]
        raise np._core._exceptions._UFuncOutputCastingError(  # type: ignore[attr-defined]
            getattr(np, name, np.add), casting, done.dtype, out.dtype, 0
        )
    if where is not True:
        done = call(OPS["where"], (where, done, out))
    if done.shape != out.shape:
        try:
            fits = np.broadcast_shapes(done.shape, out.shape) == out.shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"non-broadcastable output operand with shape {_tight(out.shape)} doesn't match the "
                f"broadcast shape {_tight(done.shape)}"
            )
    assign(out, out._lens, done)
    return out


def _tight(shape: tuple[int, ...]) -> str:
    return str(shape).replace(" ", "")


def operator(op: Op, left: ndarray, right: Any) -> Any:
    """`left op right` for a binary operator; NotImplemented when `right` asks for it."""
    if right.__class__ is _ndarray:
        done = _known_parts(op, (left, right))
        if done is not None:
            return done
    if is_foreign(right):
        return NotImplemented
    special = _comparison_of_strings(op, left, right)
    if special is not None:
        return special
    if _repeats(op, left, right):
        return right * int(left)
    return call(op, (left, right))


def reflected_operator(op: Op, right: ndarray, left: Any) -> Any:
    """`left op right` where only `right` is ours."""
    if is_foreign(left):
        return NotImplemented
    if _repeats(op, right, left):
        return left * int(right)
    return call(op, (left, right))


def _repeats(op: Op, number: ndarray, sequence: Any) -> bool:
    """Whether `number * sequence` repeats the sequence: for results that are integer scalars in NumPy (`"-" * x.max()`)."""
    if op.name != "multiply" or not isinstance(sequence, (str, bytes, list, tuple)):
        return False
    from cupynumeric._array import SCALAR

    return number._locked == SCALAR and not number.shape and number.dtype.kind in "iu"


def power(left: Any, right: Any) -> Any:
    """`left ** right`. Small Python exponents of floating arrays become multiplications, roots and reciprocals (within 4 ulp);
    ValueError, as NumPy, for integers to negative integer powers."""
    if is_foreign(right) or is_foreign(left):
        return NotImplemented
    if isinstance(left, _types()) and type(right) in (int, float):
        if left.dtype.kind in "fc":
            quick = _quick_power(left, right)
            if quick is not None:
                return quick
        elif left.dtype.kind in "iub" and type(right) is int:
            if right < 0 and left.dtype.kind != "u":
                raise ValueError("Integers to negative integer powers are not allowed.")
            if right == 2:
                return call(OPS["square"], (left,))
        return call(OPS["power"], (left, right))
    _check_integer_powers(left, right)
    return call(OPS["power"], (left, right))


def _quick_power(x: ndarray, exponent: float) -> Any:
    """x ** exponent without `pow`, for the exponents programs write; None for others."""
    if exponent == 2:
        return call(OPS["square"], (x,))
    if exponent == 1:
        return call(OPS["positive"], (x,))
    if x.dtype.kind == "c":
        return None
    if exponent in _INVERSE_ROOTS:
        return call(OPS[_INVERSE_ROOTS[exponent]], (x,))
    if exponent not in _POWERS:
        return None
    root = exponent % 1 == 0.5
    size = abs(exponent) - 0.5 * root
    out = call(OPS["sqrt"], (x,)) if root else None
    if size >= 1:
        whole = x
        if size >= 2:
            square = call(OPS["square"], (x,))
            whole = call(OPS["multiply"], (square, x if size == 3 else square)) if size > 2 else square
        out = whole if out is None else call(OPS["multiply"], (whole, out))
    return call(OPS["reciprocal"], (out,)) if exponent < 0 else out


_INVERSE_ROOTS = {-0.5: "rsqrt", -1.5: "rsqrt3"}
_POWERS = frozenset((0.5, 1.5, 2.5, 3, 4, -1, -2, -2.5, -3, -4))


def _check_integer_powers(left: Any, right: Any) -> None:
    base, exponent = operand(left), operand(right)
    kinds = [
        np.asarray(x).dtype.kind if not isinstance(x, _types()) else x.dtype.kind for x in (base, exponent)
    ]
    if kinds[1] != "i" or kinds[0] not in "iub":
        return
    negative = exponent < 0
    if bool(negative.any() if isinstance(negative, _types()) else np.any(negative)):
        raise ValueError("Integers to negative integer powers are not allowed.")


def in_place_operator(op: Op, left: ndarray, right: Any) -> Any:
    """`left op= right`: the ufunc with out=left."""
    if is_foreign(right):
        return NotImplemented
    return call(op, (left, right), out=left)


def _comparison_of_strings(op: Op, left: ndarray, right: Any) -> Any:
    """`==` and `!=` with text compare element by element in NumPy, although their ufuncs have no such loop."""
    if op.name not in ("equal", "not_equal") or not isinstance(right, (str, bytes)):
        return None
    from cupynumeric._convert import from_numpy, host_view

    host = host_view(left)
    return from_numpy(np.asarray(host == right if op.name == "equal" else host != right))


def broadcast_value(array: ndarray, shape: tuple[int, ...]) -> int:
    """Value number of the array broadcast to `shape`."""
    from cupynumeric._array import value

    v = value(array)
    if array.shape == shape:
        return v
    return runtime.record(infer.move_signature(array._type, index.broadcast(array.shape, shape)), v)


__all__ = ["broadcast_value", "cache_of", "call", "operand", "signature"]
