"""Universal functions: one object per NumPy ufunc, elementwise through `_elementwise`, reductions through `_reduce`.

Knows NumPy's calling conventions of ufuncs and their methods. What graphs cannot express goes to NumPy on host views.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from cupynumeric import _array, _at_once, _calls, _elementwise, _instant, _reduce
from cupynumeric._array import SCALAR, Ours, ndarray
from cupynumeric._caller import warn
from cupynumeric._calls import lift, lift_all, on_host
from cupynumeric._convert import to_numpy_tree
from legate_jit import runtime
from legate_jit.immediate import irregular
from legate_jit.ir.node import Signature
from legate_jit.ir.ops import OPS, Kind, Op
from legate_jit.runtime import window
from legate_jit.store import Store

_new: Callable[[type[ndarray]], ndarray] = object.__new__
_enter = window.enter


def _recorded(sig: Signature, x: ndarray) -> ndarray:
    """The result of a unary instruction, as the operators record theirs: no call between the tape's first change and the last."""
    a = x._store.value
    if a is None:
        if sig.at_once:
            return _at_once.at_once_alone(sig, x)  # type: ignore[no-any-return]
        a = _enter(x._store)
    w = window
    w.code += (sig, a)
    v = w.n
    w.n = v + 1
    s = Store()
    t = sig.type
    s.value, s.buffer, s.type = v, None, t
    w.stores.append(s)
    r = _new(ndarray)
    r._store, r._lens, r._type, r._key, r._locked = s, None, t, t, not t.shape and SCALAR
    if v > w.limit:
        runtime.full()
    return r


@functools.cache
def _said_of_where() -> str:
    """What the installed NumPy warns of where `where` is given without `out`; '' where it does not."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        np.negative(np.zeros(1), where=False)
    return "".join(str(warning.message) for warning in told)


_KEYWORDS = frozenset({"out", "where", "casting", "order", "dtype", "subok", "signature", "sig"})


_NUMBERS = frozenset((int, float, complex, bool))
#: second operands the operators' own quick paths take
_QUICK = frozenset({ndarray, int, float})


class ufunc:
    """An elementwise function over arrays, with NumPy's broadcasting, casting, `out`, `where`, and methods."""

    def __init__(self, name: str) -> None:
        self._numpy: np.ufunc = getattr(np, name)
        self.__name__ = self.__qualname__ = self._numpy.__name__
        self.__doc__ = self._numpy.__doc__
        op = OPS.get(self.__name__)
        self._op: Op | None = op if op is not None and op.kind is Kind.MAP else None
        self._cache = _elementwise.cache_of(self.__name__)
        quick = self._op is not None and self._op.arity == 2 and self.__name__ != "power"
        self._operator = _array._binary(self.__name__) if quick else None
        #: the table that machine code may look calls up in
        self._quick = self._cache if quick or (self._op is not None and self._op.arity == 1) else None
        self.nin, self.nout, self.nargs = self._numpy.nin, self._numpy.nout, self._numpy.nargs
        self.ntypes, self.types = self._numpy.ntypes, self._numpy.types
        if hasattr(self._numpy, "__signature__"):
            self.__signature__ = self._numpy.__signature__
        self.identity, self.signature = self._numpy.identity, self._numpy.signature

    def __repr__(self) -> str:
        return f"<ufunc {self.__name__!r}>"

    def __reduce__(self) -> str:
        return str(self.__name__)

    def resolve_dtypes(self, *args: Any, **kwargs: Any) -> Any:
        """The dtypes of the loop for given operand dtypes; see `numpy.ufunc.resolve_dtypes`."""
        return self._numpy.resolve_dtypes(*args, **kwargs)

    # -- calling --

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs and len(args) == self.nin and self._op is not None:
            x = args[0]
            if x.__class__ is ndarray:
                if len(args) == 1:
                    sig = self._cache.get((x._key,))
                    if sig is not None:
                        return _recorded(sig, x)
                elif self._operator is not None and args[1].__class__ in _QUICK:
                    return self._operator(x, args[1])
            for x in args:
                # NumPy's own scalars come from elements and reductions that were computed at once: so is what follows
                if (
                    x.__class__ is _instant.Instant or (len(args) == 1 and isinstance(x, np.generic))
                ) and self.nout == 1:
                    done = _instant.apply(self._numpy, args)
                    if done is not None:
                        return done
            return self._plain(self._op, args)
        for name in kwargs:
            if name not in _KEYWORDS:
                raise TypeError(f"{self.__name__}() got an unexpected keyword argument {name!r}")
        return self._general(args, **kwargs)

    def _plain(self, op: Op, args: tuple[Any, ...]) -> Any:
        """No keywords. Python's numbers alone are NumPy's: its scalars, its warnings."""
        if not any(x.__class__ is ndarray for x in args):
            if all(x.__class__ in _NUMBERS for x in args):
                return self._numpy(*args)
            if any(_is_special(x) for x in args):
                return on_host(self._numpy, *args)
        elif any(_overrides(x) for x in args):
            return on_host(self._numpy, *args)
        return self._checked(op, args, None, True, None, "same_kind")

    def _checked(
        self, op: Op, inputs: tuple[Any, ...], out: Any, where: Any, dtype: Any, casting: Any
    ) -> Any:
        """The elementwise operation, after whatever NumPy refuses because of values."""
        if op.name == "power":
            _refuse_negative_powers(*inputs)
        return _elementwise.call(op, inputs, out, where, dtype, casting)

    def _general(
        self,
        args: tuple[Any, ...],
        *,
        out: Any = _reduce.NO_VALUE,
        where: Any = True,
        casting: Any = "same_kind",
        order: str = "K",
        dtype: Any = None,
        subok: bool = True,
        signature: Any = None,
        sig: Any = None,
    ) -> Any:
        given = len(args)
        if not self.nin <= given <= self.nargs:
            raise self._wrong_count(given)
        if given > self.nin:
            if out is not None and out is not _reduce.NO_VALUE:
                raise TypeError("cannot specify 'out' as both a positional and keyword argument")
            out = args[self.nin :] + (None,) * (self.nargs - given)
        if out is _reduce.NO_VALUE:
            out = None
            if where is not True and (text := _said_of_where()):
                warn(text, UserWarning)
        outs = self._outputs(out)
        inputs = args[: self.nin]
        if sig is not None:
            if signature is not None:
                raise TypeError("cannot specify both 'sig' and 'signature'")
            signature = sig
        if signature is not None:
            if dtype is not None:
                raise TypeError("cannot specify both 'signature' and 'dtype'")
            return self._by_host(inputs, outs, {"where": where, "casting": casting, "signature": signature})
        # NumPy 2.4's resolve_dtypes crashes on refusing casting="equiv": rare rules are left to its calls.
        rare = casting not in ("same_kind", "unsafe")
        if rare or any(isinstance(o, np.ndarray) for o in outs) or any(_is_special(x) for x in inputs):
            options = {"where": where, "casting": casting} | ({} if dtype is None else {"dtype": dtype})
            return self._by_host(inputs, outs, options)
        return self._compute(inputs, outs, where, dtype, casting)

    def _outputs(self, out: Any) -> Any:
        # '...' asks for an array even where NumPy would give a scalar; ours are arrays.
        if out is None or out is ...:
            return (None,) * self.nout
        if not isinstance(out, tuple):
            if self.nout > 1:
                raise TypeError("'out' must be a tuple of arrays")
            out = (out,)
        if len(out) != self.nout:
            raise ValueError("The 'out' tuple must have exactly one entry per ufunc output")
        for o in out:
            if o is not None and not isinstance(o, (Ours, np.ndarray)):
                raise TypeError("return arrays must be of ArrayType")
        return out

    def _compute(
        self, inputs: tuple[Any, ...], outs: tuple[Any, ...], where: Any, dtype: Any, casting: Any
    ) -> Any:
        if self._op is None:
            options = {"where": where, "casting": casting} | ({} if dtype is None else {"dtype": dtype})
            return self._by_host(inputs, outs, options)
        return self._checked(self._op, inputs, outs[0], where, dtype, casting)

    def _wrong_count(self, given: int) -> TypeError:
        takes = f"from {self.nin} to {self.nargs}"
        verb = "was" if given == 1 else "were"
        return TypeError(f"{self.__name__}() takes {takes} positional arguments but {given} {verb} given")

    def _by_host(self, inputs: tuple[Any, ...], outs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Carried out by NumPy now."""
        if all(o is None for o in outs):
            return on_host(self._numpy, *inputs, **options)
        targets = tuple(to_numpy_tree(o).copy() if isinstance(o, Ours) else o for o in outs)
        args, options = to_numpy_tree(inputs), to_numpy_tree(options)
        got = self._numpy(*args, out=targets, **options)
        got = got if isinstance(got, tuple) else (got,)
        done = tuple(
            _elementwise.store_result(o, lift(t), True, "unsafe")
            if isinstance(o, Ours)
            else (g if o is None else o)
            for o, t, g in zip(outs, targets, got, strict=True)
        )
        done = tuple(_calls.wrapped(d) if o is None else d for d, o in zip(done, outs, strict=True))
        return done[0] if self.nout == 1 else done

    # -- methods --

    def _binary_only(self, method: str) -> None:
        if self.nin != 2:
            raise ValueError(f"{method} only supported for binary functions")
        if self.nout != 1:
            raise ValueError(f"{method} only supported for functions returning a single value")

    def reduce(
        self,
        array: Any,
        axis: Any = 0,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = _reduce.NO_VALUE,
        where: Any = True,
    ) -> Any:
        """Reduce over axes by applying the ufunc; see `numpy.ufunc.reduce`."""
        if self.nin != 2 or self.nout != 1 or self.signature:
            return self._numpy.reduce(array, axis)
        a = lift(array)
        if isinstance(out, tuple) and len(out) == 1:
            (out,) = out
        name = _reduce.OF_UFUNC.get(self.__name__)
        if name is not None and a.__class__ is ndarray and (out is None or isinstance(out, Ours)):
            try:
                return _reduce.reduce(name, a, axis, dtype, out, keepdims, initial, where)
            except _reduce.HostOnly:
                pass  # a loop dtype without graph form: NumPy reduces below
        return on_host(
            self._numpy.reduce,
            a,
            axis=axis,
            dtype=dtype,
            out=out,
            keepdims=keepdims,
            initial=initial,
            where=where,
        )

    def accumulate(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        """Running results along an axis; see `numpy.ufunc.accumulate`."""
        a = lift(array)
        name = {"add": "cumsum", "multiply": "cumprod"}.get(self.__name__)
        if name is not None and a.__class__ is ndarray and a.ndim and axis is not None:
            wanted = a.dtype if dtype is None and out is None and a.dtype.kind not in "biu" else dtype
            try:
                return _reduce.scan(name, a, axis, wanted, out)
            except _reduce.HostOnly:
                pass
        return on_host(self._numpy.accumulate, a, axis=axis, dtype=dtype, out=out)

    def reduceat(self, array: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        """Reductions over slices between indices; see `numpy.ufunc.reduceat`."""
        return on_host(self._numpy.reduceat, lift(array), indices, axis=axis, dtype=dtype, out=out)

    def outer(self, A: Any, B: Any, /, **kwargs: Any) -> Any:
        """The ufunc of all pairs (a, b); shape A.shape + B.shape."""
        if self.signature:
            raise TypeError("method outer is not allowed in ufunc with non-trivial signature")
        self._binary_only("outer product")
        pair = lift_all(A, B)
        if pair is None:
            return on_host(self._numpy.outer, A, B, **kwargs)
        a, b = pair
        left = A if _elementwise.is_scalar(A) else a.reshape((*a.shape, *(1,) * b.ndim))
        return self(left, B if _elementwise.is_scalar(B) else b, **kwargs)

    def at(self, a: Any, indices: Any, b: Any = None, /) -> None:
        """Unbuffered in-place operation at indices: repeated indices count repeatedly."""
        operands = () if b is None else (b,)
        if not isinstance(a, Ours):
            self._numpy.at(a, to_numpy_tree(indices), *to_numpy_tree(operands))
            return
        if runtime.world is not None:
            from cupynumeric import _dealt

            if _dealt.at(self._numpy, a, indices, operands):
                return
        from cupynumeric._advanced import mutate

        where, values = to_numpy_tree(indices), to_numpy_tree(operands)
        mutate(a, lambda target: self._numpy.at(target, where, *values))


class _Pairs(ufunc):
    """A ufunc of several results that is a composition of simpler ones."""

    def __init__(self, name: str, compute: Callable[..., tuple[Any, ...] | None]) -> None:
        super().__init__(name)
        self._results = compute

    def _compute(
        self, inputs: tuple[Any, ...], outs: tuple[Any, ...], where: Any, dtype: Any, casting: Any
    ) -> Any:
        done = None if dtype is not None or where is not True else self._results(*inputs)
        if done is None:
            options = {"where": where, "casting": casting} | ({} if dtype is None else {"dtype": dtype})
            return self._by_host(inputs, outs, options)
        return tuple(
            d if o is None else _elementwise.store_result(o, d, True, casting, self.__name__)
            for d, o in zip(done, outs, strict=True)
        )


class _Product(ufunc):
    """A generalized ufunc (matmul and its relatives)."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from cupynumeric import _products

        if not self.nin <= len(args) <= self.nargs:
            raise self._wrong_count(len(args))
        if len(args) > self.nin:
            kwargs["out"] = args[self.nin]
            args = args[: self.nin]
        return _products.generalized(self._numpy, args, kwargs)


def _overrides(x: Any) -> bool:
    """Masked arrays, other subclasses of numpy.ndarray, and foreign objects with ufuncs of their own."""
    if isinstance(x, (Ours, np.generic)) or type(x) is np.ndarray:
        return False
    return hasattr(type(x), "__array_ufunc__")


def _is_special(x: Any) -> bool:
    """Whether NumPy has to judge an operand: it overrides ufuncs, or is an integer beyond 64 bits."""
    return _overrides(x) or (x.__class__ is int and not -(1 << 63) <= x < 1 << 64)


def _refuse_negative_powers(base: Any, exponent: Any) -> None:
    """ValueError for integers to negative integer powers, as NumPy; looks at the exponents if their dtype allows such."""
    if not isinstance(exponent, (Ours, np.ndarray)):
        negative = isinstance(exponent, (int, np.integer)) and exponent < 0
    else:
        negative = exponent.dtype.kind == "i" and exponent.size > 0 and _kind(base) in "biu"
    if (
        not negative
        or _kind(base) not in "biu"
        or (not isinstance(exponent, (Ours, np.ndarray)) and _kind(base) == "b")
    ):
        return
    if isinstance(exponent, (Ours, np.ndarray)) and int(irregular.bounds(to_numpy_tree(exponent))[0]) >= 0:
        return
    raise ValueError("Integers to negative integer powers are not allowed.")


def _kind(x: Any) -> str:
    return (
        x.dtype.kind
        if isinstance(x, (Ours, np.ndarray, np.generic))
        else np.asarray(to_numpy_tree(x)).dtype.kind
    )


def _divmod(x: Any, y: Any) -> tuple[Any, ...] | None:
    pair = lift_all(x, y)
    if pair is None or any(a.dtype.kind == "c" for a in pair):
        return None
    return floor_divide(x, y), remainder(x, y)


def _modf(x: Any) -> tuple[Any, ...] | None:
    a = lift(x)
    if a.__class__ is not ndarray or a.dtype.kind == "c":
        return None
    whole = (
        trunc(a)
        if a.dtype.kind == "f"
        else positive(a, dtype=np.modf.resolve_dtypes((a.dtype, None, None))[1])
    )
    rest = _elementwise.call(OPS["where"], (isinf(whole), whole.dtype.type(0), subtract(a, whole)))
    return copysign(rest, whole), whole


def _frexp(x: Any) -> tuple[Any, ...] | None:
    a = lift(x)
    if a.__class__ is not ndarray or a.dtype.kind == "c":
        return None
    _, mantissa, exponent = np.frexp.resolve_dtypes((a.dtype, None, None))
    parts = ((0, mantissa), (1, exponent))
    return tuple(_calls.lazy("frexp", (a,), a.shape, d, part=k) for k, d in parts)


absolute = abs = ufunc("absolute")
add = ufunc("add")
arccos = acos = ufunc("arccos")
arccosh = acosh = ufunc("arccosh")
arcsin = asin = ufunc("arcsin")
arcsinh = asinh = ufunc("arcsinh")
arctan = atan = ufunc("arctan")
arctan2 = atan2 = ufunc("arctan2")
arctanh = atanh = ufunc("arctanh")
bitwise_and = ufunc("bitwise_and")
bitwise_count = ufunc("bitwise_count")
bitwise_or = ufunc("bitwise_or")
bitwise_xor = ufunc("bitwise_xor")
cbrt = ufunc("cbrt")
ceil = ufunc("ceil")
conjugate = conj = ufunc("conjugate")
copysign = ufunc("copysign")
cos = ufunc("cos")
cosh = ufunc("cosh")
deg2rad = ufunc("deg2rad")
degrees = ufunc("degrees")
divide = true_divide = ufunc("divide")
divmod = _Pairs("divmod", _divmod)
equal = ufunc("equal")
exp = ufunc("exp")
exp2 = ufunc("exp2")
expm1 = ufunc("expm1")
fabs = ufunc("fabs")
float_power = ufunc("float_power")
floor = ufunc("floor")
floor_divide = ufunc("floor_divide")
fmax = ufunc("fmax")
fmin = ufunc("fmin")
fmod = ufunc("fmod")
frexp = _Pairs("frexp", _frexp)
gcd = ufunc("gcd")
greater = ufunc("greater")
greater_equal = ufunc("greater_equal")
heaviside = ufunc("heaviside")
hypot = ufunc("hypot")
invert = bitwise_invert = bitwise_not = ufunc("invert")
isfinite = ufunc("isfinite")
isinf = ufunc("isinf")
isnan = ufunc("isnan")
isnat = ufunc("isnat")
lcm = ufunc("lcm")
ldexp = ufunc("ldexp")
left_shift = bitwise_left_shift = ufunc("left_shift")
less = ufunc("less")
less_equal = ufunc("less_equal")
log = ufunc("log")
log10 = ufunc("log10")
log1p = ufunc("log1p")
log2 = ufunc("log2")
logaddexp = ufunc("logaddexp")
logaddexp2 = ufunc("logaddexp2")
logical_and = ufunc("logical_and")
logical_not = ufunc("logical_not")
logical_or = ufunc("logical_or")
logical_xor = ufunc("logical_xor")
matmul = _Product("matmul")
maximum = ufunc("maximum")
minimum = ufunc("minimum")
modf = _Pairs("modf", _modf)
multiply = ufunc("multiply")
negative = ufunc("negative")
nextafter = ufunc("nextafter")
not_equal = ufunc("not_equal")
positive = ufunc("positive")
power = pow = ufunc("power")
rad2deg = ufunc("rad2deg")
radians = ufunc("radians")
reciprocal = ufunc("reciprocal")
remainder = mod = ufunc("remainder")
right_shift = bitwise_right_shift = ufunc("right_shift")
rint = ufunc("rint")
sign = ufunc("sign")
signbit = ufunc("signbit")
sin = ufunc("sin")
sinh = ufunc("sinh")
spacing = ufunc("spacing")
sqrt = ufunc("sqrt")
square = ufunc("square")
subtract = ufunc("subtract")
tan = ufunc("tan")
tanh = ufunc("tanh")
trunc = ufunc("trunc")
vecdot = _Product("vecdot")

# NumPy 2.2 and newer.
if hasattr(np, "matvec"):
    matvec, vecmat = _Product("matvec"), _Product("vecmat")

#: the ufunc of ours for each of NumPy's
OURS: dict[np.ufunc, ufunc] = {f._numpy: f for f in list(globals().values()) if isinstance(f, ufunc)}

__all__ = [
    "ufunc", "abs", "absolute", "acos", "acosh", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan",
    "arctan2", "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and", "bitwise_count",
    "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "cbrt", "ceil", "conj", "conjugate", "copysign", "cos", "cosh", "deg2rad", "degrees", "divide", "divmod",
    "equal", "exp", "exp2", "expm1", "fabs", "float_power", "floor", "floor_divide", "fmax", "fmin", "fmod",
    "frexp", "gcd", "greater", "greater_equal", "heaviside", "hypot", "invert", "isfinite", "isinf", "isnan",
    "isnat", "lcm", "ldexp", "left_shift", "less", "less_equal", "log", "log10", "log1p", "log2", "logaddexp",
    "logaddexp2", "logical_and", "logical_not", "logical_or", "logical_xor", "matmul", "maximum", "minimum",
    "mod", "modf", "multiply", "negative", "nextafter", "not_equal", "positive", "pow", "power", "rad2deg",
    "radians", "reciprocal", "remainder", "right_shift", "rint", "sign", "signbit", "sin", "sinh", "spacing",
    "sqrt", "square", "subtract", "tan", "tanh", "true_divide", "trunc", "vecdot",
]  # fmt: skip
if hasattr(np, "matvec"):
    __all__ += ["matvec", "vecmat"]
