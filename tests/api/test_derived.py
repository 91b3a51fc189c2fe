"""Classes derived from `ndarray`, what counts as one, and scalars that are asked what they are."""

from __future__ import annotations

import pickle
from typing import Any

import numpy
import pytest
from api.compare import same, settled

import cupynumeric as np

WITH: list[Any] = [numpy, np]


def program(xp: Any) -> list[Any]:
    """The subclasses of NumPy's own documents, and a symmetric matrix."""

    class Info(xp.ndarray):
        def __new__(cls, data: Any, info: Any = None) -> Any:
            made = xp.asarray(data).view(cls)
            made.info = info
            return made

        def __array_finalize__(self, origin: Any) -> None:
            self.info = getattr(origin, "info", None)

    class Sized(xp.ndarray):
        def __new__(cls, shape: Any, explicit: bool) -> Any:
            return xp.ndarray.__new__(cls, shape) if explicit else super().__new__(cls, shape)

        def plain(self) -> Any:
            return self.view(xp.ndarray)

    class Symmetric(xp.ndarray):
        def __setitem__(self, key: Any, value: Any) -> None:
            super().__setitem__(key, value)
            super().__setitem__(key[::-1], value)

    a = Info(xp.arange(5), info="five")
    b = Sized((2, 3), True)
    b[:] = xp.arange(3)
    c = Sized((2,), False)
    c.fill(7)
    s = xp.zeros((3, 3)).view(Symmetric)
    s[0, 1] = 5
    p = b.plain()
    p[0, 0] = 9  # the same memory
    return [
        *[
            (type(x).__name__, x.info, x.tolist())
            for x in (a, a[1:], a * 2, xp.arange(5) + a, xp.sqrt(a), a + a)
        ],
        (type(b).__name__, b.tolist(), type(b + xp.ones(3)).__name__, (b + xp.ones(3)).tolist()),
        (c.tolist(), type(c.sum()).__name__ == type(c).__name__, float(c.sum())),
        (s.tolist(), type(s @ s).__name__, xp.asarray(s).tolist(), type(xp.asarray(s)) is xp.ndarray),
        type(p) in (numpy.ndarray, xp.ndarray),
        [isinstance(x, xp.ndarray) for x in (a, b, s, p[...].view(Symmetric), xp.arange(3), 3, [3])],
        [issubclass(x, xp.ndarray) for x in (Info, Symmetric, int, numpy.ma.MaskedArray)],
        [Info.__mro__[-2].__name__, Info.__name__, Info.__module__, Sized.__qualname__.rpartition(".")[2]],
    ]


def test_derived_classes_are_numpys() -> None:
    assert program(np) == program(numpy)


def test_what_is_an_array() -> None:
    """Arrays that this package leaves to NumPy are its arrays too; NumPy's own of dtypes that it holds are not."""
    for made in (
        np.array(["a"]),
        np.array([None]),
        np.array(["2024-01-01"], dtype="datetime64[D]"),
        np.zeros(2, [("x", float)]),
        np.ma.masked_array([1]),
        np.arange(3),
        np.arange(3)[0],
    ):
        assert isinstance(made, np.ndarray)
    assert not isinstance(numpy.arange(3), np.ndarray)
    assert not isinstance(numpy.float64(1), np.ndarray)
    assert not issubclass(numpy.ndarray, np.ndarray)
    assert type(np.arange(3)) is np.ndarray


def test_views_as_subclasses_have_memory_of_their_own() -> None:
    x = np.arange(3.0)
    matrix = x.view(numpy.matrix)
    matrix[0, 0] = 5
    assert matrix.tolist() == [[5, 1, 2]]
    assert x.tolist() == [0, 1, 2]


def test_results_that_are_scalars_have_what_scalars_have() -> None:
    for xp in WITH:
        x, n = xp.arange(4.0), xp.arange(4)
        assert xp.isscalar(x.sum())
        assert xp.isscalar(x.max() / 2)
        assert not xp.isscalar(x)
        assert not xp.isscalar(xp.array(1.0))
        assert x.mean().as_integer_ratio() == (3, 2)
        assert x.sum().is_integer()
        assert x.mean().hex() == (1.5).hex()
        assert (n.sum().numerator, n.sum().denominator, n.max().bit_count()) == (6, 1, 2)
        assert repr(x.sum()) == "np.float64(6.0)"
        assert repr([n.max(), x > 9]) == "[np.int64(3), array([False, False, False, False])]"
        assert repr(xp.array(2.5)) == "array(2.5)"
        assert str(x.sum()) == "6.0"
        for absent in (x, xp.array(2.0), xp.zeros(1)):
            with pytest.raises(AttributeError, match="has no attribute 'is_integer'"):
                _ = absent.is_integer
        with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
            _ = x.nonsense
    assert repr(pickle.loads(pickle.dumps(np.arange(3).sum()))) in ("np.int64(3)", "array(3)")


def test_iterators_write_back() -> None:
    def run(xp: Any) -> list[Any]:
        a, seen = xp.arange(6).reshape(2, 3), []
        for x in xp.nditer(a, op_flags=["readwrite"]):
            x[...] = 2 * x
        seen.append(a.tolist())
        buffered = {"flags": ["external_loop", "buffered"], "op_dtypes": ["f8"], "casting": "unsafe"}
        with xp.nditer(a, op_flags=[["readwrite"]], **buffered) as it:
            for chunk in it:
                chunk += 1
        seen.append(a.tolist())
        out = xp.zeros(3, dtype=int)
        flags = [["readonly"], ["readonly"], ["writeonly"], ["writeonly", "allocate"]]
        with xp.nditer([xp.arange(3), 5, out, None], op_flags=flags) as it:
            for x, y, z, w in it:
                z[...] = x + y
                w[...] = x * y
            allocated = it.operands[3]
            seen.append(it.operands[2] is out)
        seen += [out.tolist(), allocated.tolist(), type(allocated) is xp.ndarray]
        it = xp.nditer(a[:, 1:], flags=["multi_index"], op_flags=["readwrite"])
        while not it.finished:
            it[0] = it.multi_index[0] * 10 + it.multi_index[1]
            if it.multi_index == (1, 0):
                break
            it.iternext()
        del it
        seen += [a.tolist(), len(xp.nditer(a)), xp.nditer(a, flags=["c_index"]).index]
        it = xp.nditer(a, flags=["multi_index"])
        it.multi_index = (1, 2)
        seen.append(int(it[0]))
        try:
            xp.nditer(xp.broadcast_to(a, (2, 2, 3)), op_flags=["readwrite"])
        except ValueError as error:
            seen.append(str(error))
        return seen

    assert run(np) == run(numpy)


class Quantity:
    """An object with functions of its own, as those of pint, sparse and dask."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return numpy.arange(4.0)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return ("own", function.__name__)


_UNARY = [
    "sum",
    "mean",
    "std",
    "max",
    "argmax",
    "sort",
    "cumsum",
    "median",
    "ptp",
    "diff",
    "nanmean",
    "round",
    "real",
    "unique",
    "ravel",
]


@pytest.mark.parametrize(
    ("name", "args"),
    [
        *[(n, ()) for n in _UNARY],
        ("clip", (0, 1)),
        ("dot", (numpy.ones(4),)),
        ("searchsorted", (1,)),
        ("reshape", ((2, 2),)),
        ("isclose", (1,)),
        ("linalg.norm", ()),
        ("fft.fft", ()),
    ],
)
def test_functions_of_others_are_found(name: str, args: tuple[Any, ...]) -> None:
    found: Any = np
    for part in name.split("."):
        found = getattr(found, part)
    assert found(Quantity(), *args) == ("own", name.rpartition(".")[2])


def test_arrays_only_by_conversion_are_computed_here() -> None:
    class Host:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return numpy.arange(4.0)

    same(numpy.sum(Host()), settled(np.sum(Host())))


class Column:
    """Of a table with missing values, which its own reductions leave out; as those of pandas."""

    def __init__(self, values: Any) -> None:
        self.values = numpy.asarray(values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.values

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        inputs = tuple(x.values if isinstance(x, Column) else numpy.asarray(x) for x in inputs)
        return Column(getattr(ufunc, method)(*inputs, **kwargs))

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        return numpy.nanmean(self.values)

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        return numpy.nansum(self.values)


def test_reductions_of_columns_are_their_own() -> None:
    for xp in WITH:
        column = Column([1.0, numpy.nan, 3.0])
        for found, expected in (
            (xp.mean(column), 2.0),
            (xp.sum(column), 4.0),
            (xp.median(Column([1.0, 5.0])), 3.0),
        ):
            assert type(found) is numpy.float64  # so that a table of such results has this dtype
            assert found == expected
        assert isinstance(xp.exp(column), Column)
        assert isinstance(xp.ones(3) + column, Column)
        assert isinstance(column.values * xp.ones(3), xp.ndarray)
        joined = xp.concatenate([column, xp.zeros(1)])
        assert isinstance(joined, xp.ndarray)
        assert joined.tolist()[2:] == [3.0, 0.0]


def test_snapshots_share_memory_with_their_array() -> None:
    """Libraries ask before they write: scikit-learn copies what shares memory with its argument."""
    x = np.arange(10.0)
    shown, copied = numpy.asarray(x), numpy.array(x)
    for judge in (numpy.may_share_memory, numpy.shares_memory, np.may_share_memory, np.shares_memory):
        assert judge(shown, x)
        assert judge(x, shown[3:])
        assert not judge(copied, x)
        assert not judge(x[:5], shown[5:])
    x += 1.0  # from here on the snapshot has memory of its own
    assert not np.may_share_memory(shown, x)


MASKED = """
np.ma.array(x)
np.ma.masked_array(x, mask=x > 3)
np.ma.MaskedArray(x)
np.ma.asarray(x)
np.ma.masked_where(x > 3, x)
np.ma.masked_where(x > 3, x, copy=False)
np.ma.masked_invalid(x)
np.ma.array([[1.0, 2.0]], mask=np.array([[True, False]]))
"""


@pytest.mark.parametrize("source", MASKED.strip().splitlines())
@pytest.mark.filterwarnings("ignore:cuPyNumeric has not implemented")
def test_masked_arrays_can_be_written(source: str) -> None:
    results = []
    for xp in (numpy, np):
        x = xp.arange(6.0).reshape(2, 3)
        made = eval(source, {"np": xp, "x": x})
        assert type(made) is numpy.ma.MaskedArray
        assert isinstance(made, xp.ma.MaskedArray)
        made[0, 0] = 9
        made[0, 1] = xp.ma.masked
        results.append((made.tolist(), made.sum()))
    assert results[0] == results[1]


def test_classes_of_masked_arrays() -> None:
    class Mine(np.ma.MaskedArray):  # type: ignore[name-defined,misc]
        pass

    x = Mine(np.arange(3), mask=[0, 1, 0])
    assert isinstance(x, Mine) and isinstance(x, numpy.ma.MaskedArray) and type(x + 1) is Mine
    assert not isinstance(np.ma.array([1]), Mine)
    assert issubclass(numpy.ma.MaskedArray, np.ma.masked_array)
    shared = numpy.arange(3.0)
    np.ma.masked_array(shared)[0] = 5
    assert shared[0] == 5
