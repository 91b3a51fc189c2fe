"""Universal functions against NumPy: dtypes, special values, layouts, keywords, methods, errors."""

from __future__ import annotations

import numpy
import pytest
from api.compare import check, same, settled

import cupynumeric

DTYPES = ["?", "i1", "u1", "i2", "u4", "i4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]

#: within how many units in the last place (of the result's dtype) vector math may differ from NumPy's
LOOSE = {
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "cbrt",
    "cos",
    "cosh",
    "exp",
    "exp2",
    "expm1",
    "float_power",
    "hypot",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logaddexp2",
    "power",
    "sin",
    "sinh",
    "tan",
    "tanh",
    "divide",
    "square",
    "multiply",
    "absolute",
    "reciprocal",
    "sqrt",
    "sign",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "pow",
    "abs",
    "true_divide",
}

UNARY = sorted(n for n in cupynumeric._ufunc.__all__ if n != "ufunc" and getattr(numpy, n).nin == 1)
BINARY = sorted(
    n
    for n in cupynumeric._ufunc.__all__
    if n not in ("ufunc", "matmul", "vecdot", "matvec", "vecmat") and getattr(numpy, n).nin == 2
)


def sample(dtype: str, seed: int = 0) -> numpy.ndarray:
    """39 values: the dtype's edges, small numbers, and for floats the special values."""
    kind = numpy.dtype(dtype).kind
    rng = numpy.random.default_rng(seed)
    if kind == "b":
        return rng.random(39) < 0.5
    if kind in "iu":
        info = numpy.iinfo(dtype)
        x = rng.integers(max(info.min, -9), 9, 39).astype(dtype)
        x[:4] = [0, 1, info.max, info.min]
        return x
    x = rng.normal(0, 2, 39)
    x[:8] = [0.0, -0.0, 1.0, -1.0, numpy.nan, numpy.inf, -numpy.inf, 0.5]
    if kind == "c":
        return (x + 1j * rng.normal(0, 1, 39)).astype(dtype)
    return x.astype(dtype)


def agree(name: str, *args: numpy.ndarray) -> None:
    """The ufunc of both packages on the same arguments."""
    ours = [cupynumeric.array(a) if isinstance(a, numpy.ndarray) else a for a in args]
    results = []
    for np, given in ((numpy, args), (cupynumeric, ours)):
        try:
            with numpy.errstate(all="ignore"):
                results.append(settled(getattr(np, name)(*given)))
        except Exception as e:
            results.append(e)
    theirs, mine = results
    if isinstance(theirs, Exception) or name not in LOOSE or isinstance(theirs, (tuple, list)):
        if isinstance(theirs, tuple):
            theirs = list(theirs)
        same(theirs, mine)
        return
    assert not isinstance(mine, Exception), mine
    assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
    if theirs.dtype.kind not in "fc":
        numpy.testing.assert_array_equal(mine, theirs)
        return
    eps = float(numpy.finfo(theirs.dtype).eps)
    if theirs.dtype.kind == "c":
        finite = numpy.isfinite(theirs)
        numpy.testing.assert_allclose(mine[finite], theirs[finite], rtol=20 * eps)
        return
    numpy.testing.assert_allclose(mine, theirs, rtol=5 * eps, atol=float(numpy.finfo(theirs.dtype).tiny))


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    for dtype in DTYPES:
        agree(name, sample(dtype))


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str) -> None:
    for dtype in DTYPES:
        x, y = sample(dtype), sample(dtype, 1)
        if name in (
            "left_shift",
            "right_shift",
            "bitwise_left_shift",
            "bitwise_right_shift",
            "ldexp",
            "power",
            "pow",
        ):
            y = numpy.abs(y.astype("i8") % 7).astype(dtype if dtype[0] in "iu" else "i4")
        agree(name, x, y)


@pytest.mark.parametrize(
    "name", ["add", "divide", "floor_divide", "less", "maximum", "logical_and", "copysign"]
)
def test_mixed_dtypes(name: str) -> None:
    for a in DTYPES:
        for b in DTYPES:
            agree(name, sample(a), sample(b, 1))


@pytest.mark.parametrize(
    "source",
    [
        "np.add(x, 1)",
        "np.add(1, x)",
        "np.add(x, 1.5)",
        "np.multiply(x, 2j)",
        "np.add(x, np.float32(1))",
        "np.add(x, True)",
        "np.subtract(x, [1, 2, 3])",
        "np.add([1, 2], [3, 4])",
        "np.add(1, 2)",
        "np.add(x, y)",
        "np.sqrt(4)",
        "np.sqrt(x, dtype='f4')",
        "np.add(x, x, dtype='i4')",
        "np.add(x, x, dtype='f4', casting='unsafe')",
        "np.add(x, x, casting='no')",
        "np.add(x)",
        "np.add()",
        "np.add(x, x, x, x)",
        "np.exp(x, x, x)",
        "np.add(x, x, out=1)",
        "np.add(x, x, out=(x, x))",
        "np.modf(x, out=x)",
        "np.add(x, x, foo=1)",
        "np.add(x, x, x, out=x)",
        "np.add(x, np.zeros(7))",
        "np.invert(x)",
        "np.bitwise_and(x, 1)",
        "np.left_shift(x, 1)",
        "np.add(x, 'a')",
        "np.add(x, None)",
        "np.add(i, 300)",
        "np.add(i, -300)",
        "np.less(i, 300)",
        "np.equal(i, -300)",
        "np.negative(np.array([True]))",
        "np.subtract(np.array([True]), np.array([True]))",
        "np.floor(i)",
        "np.divmod(x, 2)",
        "np.divmod(i, 3)",
        "np.modf(i)",
        "np.frexp(i)",
        "np.add(x, x, where=x > 3, out=np.zeros((3, 4)))",
        "np.add(x, 1, where=[True, False, True, False], out=np.ones((3, 4)))",
        "np.add(x, x, signature='dd->d')",
        "np.add(x, x, signature=('d', 'd', 'd'))",
        "np.add(x, x, dtype='f8', signature='dd->d')",
        "out = np.zeros((3, 4), 'f4'); np.add(x, 1, out); result = out",
        "out = np.zeros((3, 4), 'i4'); np.add(x, 1, out); result = out",
        "out = np.zeros((3, 4), 'i4'); np.add(x, 1, out=out, casting='unsafe'); result = out",
        "out = np.zeros((2, 3, 4)); result = np.add(x, 1, out=out)",
        "out = np.zeros((4,)); result = np.add(x, 1, out=out)",
        "a = np.zeros((3, 4)); b = np.zeros((3, 4)); result = [np.modf(x / 2, a, b), a, b]",
        "a = np.arange(10.); result = np.add(a[1:], a[:-1], out=a[1:])",
        "np.matmul(x, x)",
        "np.power(i, -1)",
        "np.power(i, np.arange(-3, 9))",
        "np.power(i, np.abs(i))",
        "np.power(x, -2)",
        "np.power(2, i)",
        "np.equal(2**200, 2**200)",
        "np.add(x, 2**70)",
        "np.less(i, 2**70)",
        "np.add(x, 3, casting='equiv')",
        "np.add(x, 3.5, dtype='f4', casting='equiv')",
        "np.add(1, 2, sig='ii->i', signature='ii->i')",
        "np.add(x, x, out=...)",
        "np.add.identity, np.add.nin, np.add.nout, np.add.nargs, np.add.ntypes, np.add.types, np.add.signature",
        "np.add.__name__, repr(np.add), np.mod.__name__, np.abs.__name__",
        "np.matmul.signature",
    ],
)
def test_calling(source: str) -> None:
    check(
        source,
        x=lambda np: np.arange(12.0).reshape(3, 4),
        y=lambda np: np.array(2),
        i=lambda np: np.arange(-3, 9, dtype="i1"),
    )


@pytest.mark.parametrize(
    "source",
    [
        *(
            f"np.{f}.reduce(x{args})"
            for f in ["add", "multiply", "maximum", "minimum", "fmax", "fmin", "logical_and", "logical_or"]
            for args in (
                "",
                ", axis=1",
                ", axis=None",
                ", axis=(0, 1), keepdims=True",
                ", axis=-1, keepdims=True",
            )
        ),
        *(f"np.{f}.reduce(i, axis=1)" for f in ("bitwise_and", "bitwise_or", "bitwise_xor", "gcd", "lcm")),
        "np.subtract.reduce(x)",
        "np.divide.reduce(x + 1)",
        "np.subtract.reduce(x, axis=(0, 1))",
        "np.add.reduce(x, axis=2)",
        "np.add.reduce(x, axis=(0, 0))",
        "np.add.reduce(x, axis='a')",
        "np.add.reduce(x, axis=1.5)",
        "np.add.reduce(x, where=x > 3)",
        "np.add.reduce(x, initial=10)",
        "np.maximum.reduce(x, where=x > 3)",
        "np.maximum.reduce(x, where=x > 3, initial=-1)",
        "np.maximum.reduce(np.zeros((0, 3)))",
        "np.maximum.reduce(np.zeros((3, 0)))",
        "np.maximum.reduce(np.zeros((0, 3)), initial=2)",
        "np.add.reduce(np.zeros((0, 3)))",
        "np.add.reduce(np.zeros((0, 3)), initial=None)",
        "np.add.reduce(i, dtype='f4')",
        "np.add.reduce(i)",
        "np.add.reduce(i > 2)",
        "np.add.reduce(x, dtype='i4')",
        "np.sqrt.reduce(x)",
        "np.modf.reduce(x)",
        "out = np.zeros(4); np.add.reduce(x, out=out); result = out",
        "out = np.zeros(4, 'i4'); np.add.reduce(x, out=out); result = out",
        "out = np.zeros(3); np.add.reduce(x, out=out); result = out",
        "out = np.zeros((1, 4)); np.add.reduce(x, out=out); result = out",
        "out = np.zeros(4, 'f4'); np.add.reduce(i, out=out); result = out",
        "np.add.accumulate(x)",
        "np.add.accumulate(x, axis=1)",
        "np.multiply.accumulate(i)",
        "np.maximum.accumulate(x[::-1])",
        "np.subtract.accumulate(x, 1)",
        "np.add.accumulate(5)",
        "np.add.reduceat(x, [0, 2], axis=1)",
        "np.add.reduceat(x, [0, 9], axis=1)",
        "np.add.outer([1, 2], [3, 4, 5])",
        "np.multiply.outer(x, [1., 2.])",
        "np.less.outer(x[0], x)",
        "np.add.outer(1, x)",
        "np.sqrt.outer(x, x)",
        "a = np.zeros(4); np.add.at(a, [0, 1, 1], 1); result = a",
        "a = np.zeros(4); np.add.at(a, [0, 1, 1], [1, 2, 3]); result = a",
        "a = np.arange(4); np.negative.at(a, [0, 1, 1]); result = a",
        "a = np.zeros((3, 3)); np.add.at(a[1], [0, 0], 2); result = a",
        "a = np.zeros(4); np.add.at(a, [0, 9], 1); result = a",
        "np.add.resolve_dtypes((np.dtype('f4'), np.dtype('f8'), None))",
    ],
)
def test_methods(source: str) -> None:
    check(
        source,
        x=lambda np: np.arange(12.0).reshape(3, 4),
        i=lambda np: np.arange(12, dtype="i2").reshape(3, 4),
    )


def test_ufuncs_know_their_names() -> None:
    import copy
    import pickle

    assert pickle.loads(pickle.dumps(cupynumeric.add)) is cupynumeric.add
    assert copy.deepcopy(cupynumeric.exp) is cupynumeric.exp
    assert isinstance(cupynumeric.add, cupynumeric.ufunc)
    assert {n for n in dir(numpy) if isinstance(getattr(numpy, n), numpy.ufunc)} <= set(dir(cupynumeric))


def test_foreign_out_is_filled() -> None:
    out = numpy.zeros(3)
    assert cupynumeric.add(cupynumeric.ones(3), 1, out=out) is out
    numpy.testing.assert_array_equal(out, 2)


def test_masked_arrays_keep_their_masks() -> None:
    masked = numpy.ma.masked_array([1.0, 2.0], [False, True])
    assert isinstance(cupynumeric.add(masked, 1), numpy.ma.MaskedArray)


@pytest.mark.parametrize("exponent", [-0.5, -1.5])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", "c8", "c16", "i4"])
def test_inverse_roots(exponent: float, dtype: str) -> None:
    """Small arrays, which NumPy computes at first, and arrays that are worth a kernel."""
    for size in (7, 200000):
        x = (1 + numpy.arange(size) % 97).astype(dtype)
        want = x**exponent
        for _ in range(4):
            found = numpy.asarray(cupynumeric.array(x) ** exponent)
            assert found.dtype == want.dtype
            numpy.testing.assert_allclose(found, want, rtol=float(4 * numpy.finfo(want.dtype).eps))
