"""Protocols: NumPy's dispatch on our arrays, memory interfaces, pickles, copies, and consumers in other packages."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import numpy
import pytest
from api.compare import check, same, settled
from faults.child import succeeds

import cupynumeric as np
from legate_jit import runtime

# ---- NumPy's functions on our arrays -------------------------------------------------------------------------------

DISPATCHED = [
    lambda x: numpy.add(x, 1),
    lambda x: numpy.arange(6).reshape(2, 3) + x,
    lambda x: numpy.float64(2) * x,
    lambda x: x - numpy.ones((2, 3)),
    lambda x: numpy.add.reduce(x),
    lambda x: numpy.multiply.outer(x, x),
    lambda x: numpy.maximum.accumulate(x, axis=1),
    lambda x: numpy.sum(x, axis=1),
    lambda x: numpy.concatenate([x, x]),
    lambda x: numpy.where(x > 2, x, 0),
    lambda x: numpy.sqrt(x),
    lambda x: numpy.matmul(x, x.T),
    lambda x: numpy.ones((2, 2)) @ x,
    lambda x: numpy.linalg.norm(x),
    lambda x: numpy.fft.fft(x),
    lambda x: numpy.mean(x),
    lambda x: numpy.reshape(x, -1),
    lambda x: numpy.zeros_like(x),
    lambda x: numpy.array([1.0, 2.0], like=x),
    lambda x: numpy.clip(x, 1, 3),
    lambda x: numpy.modf(x),
    lambda x: numpy.divmod(x, 2),
    lambda x: numpy.kron(x, x),
]


@pytest.mark.parametrize("function", DISPATCHED)
def test_numpy_functions_give_our_arrays(function: Any) -> None:
    host = numpy.arange(6.0).reshape(2, 3)
    ours = function(np.array(host))
    first = ours[0] if isinstance(ours, tuple) else ours
    assert isinstance(first, np.ndarray)
    same(function(host) if not isinstance(ours, tuple) else list(function(host)), settled(ours), exact=False)


def test_numpy_out_gets_the_result() -> None:
    out = numpy.zeros(3)
    given = numpy.add(np.arange(3), 1, out=out)
    assert given is out
    assert out.tolist() == [1, 2, 3]
    out += np.arange(3)
    assert type(out) is numpy.ndarray
    assert out.tolist() == [1, 3, 5]
    mine = np.zeros(3)
    numpy.add(numpy.arange(3), 1, out=mine)
    assert mine.tolist() == [1, 2, 3]
    total = numpy.zeros(())
    numpy.sum(np.arange(5), out=total)
    assert total == 10


def test_scipy_functions() -> None:
    special = pytest.importorskip("scipy.special")
    x = np.linspace(-2, 2, 9)
    for name in ("erf", "erfc", "gamma", "expit", "j0"):
        found = getattr(special, name)(x)
        assert isinstance(found, np.ndarray)
        numpy.testing.assert_allclose(
            numpy.asarray(found), getattr(special, name)(numpy.asarray(x)), rtol=1e-13
        )
    optimize = pytest.importorskip("scipy.optimize")
    found = optimize.minimize(lambda v: float(((np.array(v) - 3) ** 2).sum()), np.zeros(2))
    numpy.testing.assert_allclose(found.x, 3, atol=1e-4)


class Foreign:
    """A class that wants to handle operators with arrays itself."""

    __array_ufunc__ = None

    def __radd__(self, other: Any) -> str:
        return "foreign"

    def __rmatmul__(self, other: Any) -> str:
        return "foreign"

    def __eq__(self, other: object) -> Any:
        return "foreign"


def test_operators_defer() -> None:
    x = np.arange(3)
    assert x + Foreign() == "foreign"
    assert x @ Foreign() == "foreign"
    assert (x == Foreign()) == "foreign"
    with pytest.raises(TypeError):
        x + object()
    assert (x == None).tolist() == [False] * 3  # noqa: E711
    assert (x == "a").tolist() == (numpy.arange(3) == "a").tolist()


# ---- memory --------------------------------------------------------------------------------------------------------


def test_host_views_are_read_only_snapshots() -> None:
    x = np.arange(6.0).reshape(2, 3)
    host = numpy.asarray(x)
    assert not host.flags.writeable
    x[0] = 9
    assert host[0].tolist() == [0, 1, 2]
    assert numpy.array(x)[0].tolist() == [9, 9, 9]
    assert numpy.array(x).flags.writeable
    view = numpy.asarray(x[:, ::-1].T)
    assert view.strides == (-8, 24)
    with pytest.raises(ValueError, match="copy"):
        numpy.asarray(x, dtype=int, copy=False)


def test_buffers() -> None:
    x = np.arange(6, dtype=np.int16).reshape(2, 3)
    assert x.data.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert x.data.readonly
    assert x.tobytes() == numpy.arange(6, dtype=numpy.int16).tobytes()
    assert x.ctypes.shape[0] == 2
    described = x[:, 1].__array_interface__
    assert described["shape"] == (2,)
    assert described["strides"] == (6,)
    if sys.version_info >= (3, 12):
        for view in (memoryview(x), memoryview(x[:, ::-1].T)):  # type: ignore[arg-type]
            assert view.readonly
            same(numpy.asarray(view), settled(x if view.shape == (2, 3) else x[:, ::-1].T))


READS = [
    numpy.asarray,
    numpy.array,
    lambda x: numpy.asarray([x, x])[1],
    lambda x: numpy.empty(5) * 0 + numpy.asarray(x),
    lambda x: numpy.asarray(x.data),
    lambda x: memoryview(x) if sys.version_info >= (3, 12) else numpy.asarray(x),
    lambda x: numpy.asarray(x[::-1])[::-1],
]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("the first word"), MemoryError])
def test_a_read_that_fails_is_not_tried_again(read: Any, error: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy does not raise the errors of buffers but asks for something else: Ctrl-C would be lost, and ranks would exchange more
    than the others."""
    tries = []
    host = runtime.host

    def fails(store: Any) -> numpy.ndarray:
        tries.append(store)
        if len(tries) == 1:
            raise error
        return host(store)

    monkeypatch.setattr(runtime, "host", fails)
    for _ in range(2):
        x = np.arange(5.0) + 1
        tries.clear()
        with pytest.raises(error if isinstance(error, type) else type(error)):
            read(x)
        assert len(tries) == 1
        assert numpy.array_equal(read(x), [1, 2, 3, 4, 5])
        assert numpy.array_equal(np.asarray(x.__array_interface__["data"]).view("f8"), [1, 2, 3, 4, 5])


@pytest.mark.one_rank
def test_a_read_that_fails_in_a_program_of_several_threads() -> None:
    """There, methods are replaced by others; an error of one thread is not another's."""
    succeeds("""
        import threading
        import cupynumeric as np, numpy
        from legate_jit import runtime
        host, failing = runtime.host, set()
        def fails(store):
            me = threading.get_ident()
            if me in failing:
                failing.discard(me)
                raise KeyboardInterrupt
            return host(store)
        runtime.host = fails
        errors = []
        def work():
            for turn in range(60):
                x = np.arange(50_000.0) + turn
                if turn % 3 == 0:
                    failing.add(threading.get_ident())
                    try:
                        numpy.asarray(x)
                        errors.append(f"{turn}: not raised")
                    except KeyboardInterrupt:
                        pass
                if not numpy.array_equal(numpy.asarray(x), numpy.arange(50_000.0) + turn):
                    errors.append(f"{turn}: wrong")
        threads = [threading.Thread(target=work) for _ in range(3)]
        for t in threads: t.start()
        for t in threads: t.join()
        assert not errors, errors[:5]
    """)


def test_dlpack() -> None:
    x = np.arange(6.0).reshape(2, 3)
    host = numpy.from_dlpack(x)
    same(settled(x), host)
    same(settled(x.T), settled(np.from_dlpack(numpy.from_dlpack(x.T))))
    same(numpy.arange(3), settled(np.from_dlpack(numpy.arange(3))))
    assert x.__dlpack_device__() == (1, 0)
    torch = pytest.importorskip("torch")
    assert torch.from_dlpack(x).sum() == 15


def test_pickles_and_copies(tmp_path: Any) -> None:
    x = np.arange(6.0).reshape(2, 3).T
    for other in (pickle.loads(pickle.dumps(x)), copy.copy(x), copy.deepcopy(x), pickle.loads(x.dumps())):
        same(settled(x), settled(other))
    other = copy.deepcopy([x, x])
    assert other[0] is other[1]
    other[0][0] = 7
    assert float(x[0, 0]) == 0
    x.dump(tmp_path / "x.pickle")
    same(settled(x), numpy.load(tmp_path / "x.pickle", allow_pickle=True))
    x.tofile(tmp_path / "x.bin")
    same(settled(x).ravel(), settled(np.fromfile(tmp_path / "x.bin")))


def test_files(tmp_path: Any) -> None:
    x = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "x.npy", x)
    loaded = np.load(tmp_path / "x.npy")
    assert isinstance(loaded, np.ndarray)
    same(settled(x), settled(loaded))
    np.savez(tmp_path / "x.npz", a=x, b=x + 1)
    same(settled(x + 1), settled(np.load(tmp_path / "x.npz")["b"]))
    np.savetxt(tmp_path / "x.txt", x)
    same(settled(x), settled(np.loadtxt(tmp_path / "x.txt")))
    numpy.save(tmp_path / "o.npy", numpy.array([None]))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        np.load(tmp_path / "o.npy")


def test_unhashable() -> None:
    with pytest.raises(TypeError, match="unhashable type"):
        hash(np.arange(3))


def test_array_namespace() -> None:
    assert np.arange(3).__array_namespace__() is np
    with pytest.raises(ValueError, match="not supported"):
        np.arange(3).__array_namespace__(api_version="1999.01")
    assert np.arange(3).device == "cpu"
    assert np.arange(3).to_device("cpu").shape == (3,)


VIEWS = """
x.view()
x.view(np.int64)
x.view(np.uint8)
x.view('i4')
x.view(np.complex128)
x.T.view(np.int64)
x.T.view('i4')
x[:, :1].view(np.complex128)
x.ravel()[:3].view(np.complex128)
x[0, 0].view(np.int64)
np.array(1.5).view(np.int32)
x.view('U2')
x.real, x.imag
(x * 1j).real, (x * 1j).imag
x.byteswap()
x.getfield(np.int32)
y = x.view(np.int64); y[0] = 5; result = x
y = x.view(np.uint8); y[0] = 5; result = x
y = x.view('i4')[:, ::2]; y[...] = 5; result = x
z = x * (1 + 1j); z.real[0] = 9; z.imag[:, 1] = 7; z.T.imag[2] = 1; result = z
z = x * (1 + 1j); z.view(float)[0] = 9; result = z
z = x * (1 + 1j); z.view(float).reshape(2, 4, 2)[..., 1] = 9; result = z
y = x.copy(); y.byteswap(inplace=True); result = y
y = x.copy(); y.resize((3, 5), refcheck=False); result = y
y = x.copy(); y.resize(3, refcheck=False); result = y
y = x.copy(); y.resize(-3); result = y
y = x[:1]; y.resize(30); result = y
y = x.copy(); y.shape = -1; result = y
y = x.T; y.shape = -1; result = y
y = x.imag; y[0] = 1
""".strip().splitlines()


@pytest.mark.parametrize("source", VIEWS)
def test_views_of_bytes(source: str) -> None:
    check(source, x=lambda np: np.arange(1.5, 9.5).reshape(2, 4))


POWERS = """
x ** 2
x ** 2.0
x ** 0.5
x ** -1
x ** -1.0
x ** 1
x ** 0
x ** 3
x ** True
x ** np.float32(2)
x ** np.array(2)
x ** x
2 ** x
2.5 ** x
x ** 1j
x ** 300
x ** -2
pow(x, 2)
divmod(x, 3)
divmod(7, x)
x // 3, x % 3
x @ x
x << 1
1 << x
~x
-x
+x
abs(x)
round(x)
x == x, x != 1, x < 2, x >= 2
x == [1, 2]
x == 'a'
x & 1
x | x
x ^ 3
x and x
not x
x.conj()
x.clip(1, 2)
x.clip(min=2)
x.clip(max=2)
x.round(1)
x.dot(x)
x.sum(), x.prod(), x.mean(), x.max(), x.min(), x.any(), x.all(), x.argmax(), x.argmin()
x.std(), x.var(ddof=1), x.cumsum(), x.cumprod()
x.sum(axis=0, keepdims=True)
x.sum(axis=1)
x.max(initial=100)
x.mean(dtype=np.float32)
x.sum(where=x > 1)
y = x.copy(); y **= 0.5; result = y
y = x.copy(); y **= x; result = y
y = x.copy(); y <<= 1; result = y
y = x.copy(); y //= 2; result = y
y = x.copy(); y /= 2; result = y
y = x.copy(); y %= 2; result = y
""".strip().splitlines()


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "u1", "c16", "?"])
@pytest.mark.parametrize("source", POWERS)
def test_operators(source: str, dtype: str) -> None:
    check(source, exact=False, x=numpy.array([1, 2, 3, 4]).astype(dtype))


def test_plotting() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    x = np.linspace(0, 1, 20)
    (line,) = axes.plot(x, np.sin(x))
    same(settled(np.sin(x)), numpy.asarray(line.get_ydata()))
    axes.imshow(np.arange(6).reshape(2, 3))
    axes.hist(np.arange(30) % 7)
    axes.fill_between(x, x, 2 * x)
    axes.scatter(x, x, c=x)
    axes.contourf(np.arange(12.0).reshape(3, 4))
    figure.canvas.draw()
    pyplot.close(figure)


class Override:
    """A class with a ufunc override."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> str:
        return f"override of {ufunc.__name__}"


class Producer:
    """A class whose `__array__` gives an array of ours."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.arange(3)


def test_other_array_classes() -> None:
    x = np.arange(3)
    assert x + Override() == "override of add"
    assert np.multiply(x, Override()) == "override of multiply"
    assert np.sin(Override()) == "override of sin"
    assert (x + Producer()).tolist() == [0, 2, 4]
    assert np.array(Producer()).tolist() == [0, 1, 2]
    masked = numpy.ma.masked_array([1, 2, 3], mask=[0, 1, 0])
    for found in (x + masked, masked + x, x * masked):
        assert isinstance(found, numpy.ma.MaskedArray)
        assert found.mask.tolist() == [False, True, False]
    sparse = pytest.importorskip("scipy.sparse")
    matrix = sparse.csr_matrix(numpy.diag([1.0, 2.0, 3.0]))
    assert (matrix @ x).tolist() == (x @ matrix).tolist() == [0, 2, 6]


def test_elements_of_vectors() -> None:
    x = np.arange(5) % 3
    assert dict.fromkeys(x, 1) == {0: 1, 1: 1, 2: 1}
    assert len({x[0], x[3], x.min()}) == 1
    table = {1: "one"}
    assert table[x[1]] == table[x.max() - 1] == "one"
    first, *rest = x
    assert (first, rest) == (0, [1, 2, 0, 1])
    y = np.zeros(5)
    for k, v in enumerate(y):
        y[k + 1 : k + 2] = v + 1
    assert y.tolist() == [0, 1, 2, 3, 4]
    assert sum(np.arange(4.0)) == 6
    with pytest.raises(TypeError, match="unhashable type"):
        hash(np.array(1))
    assert "-" * x.max() == "--"
    assert x.max() * [1, 2] == [1, 2, 1, 2]
    assert ([1, 2, 3] * np.array(2)).tolist() == [2, 4, 6]
