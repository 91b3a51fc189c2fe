"""Small arrays whose values are there: library calls and windows of one operation are computed when they are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest

import cupynumeric as np
import legate
from cupynumeric import _prompt, _walking
from legate_jit import runtime
from legate_jit.immediate import at_once
from legate_jit.running import tiers


@pytest.fixture(autouse=True)
def as_programs_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tier 0, which other tests do without, and nothing known of earlier windows."""
    legate.fence()
    monkeypatch.setattr(tiers.policy, "interpret_runs", 2)
    tiers.record_again()
    _walking.forget()
    runtime._plans.clear()
    yield
    legate.fence()
    tiers.record_again()
    _walking.forget()
    runtime._plans.clear()


def there(*shape: int) -> Any:
    """An array that waits for nothing."""
    x = np.array(numpy.random.default_rng(5).random(shape))
    legate.fence()
    return x


CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "sort": lambda np, x: np.sort(x),
    "argsort": lambda np, x: np.argsort(x),
    "partition": lambda np, x: np.partition(x, 3)[:4].sum() * 0 + np.partition(x, 3)[3],
    "searchsorted": lambda np, x: np.searchsorted(np.sort(x), x),
    "cumsum": lambda np, x: np.cumsum(x),
    "cumsum in float32": lambda np, x: x.cumsum(dtype="f4"),
    "cumprod": lambda np, x: np.cumprod(x),
    "fft": lambda np, x: np.fft.fft(x),
    "irfft": lambda np, x: np.fft.irfft(x),
    "convolve": lambda np, x: np.convolve(x, x[:5]),
    "digitize": lambda np, x: np.digitize(x, [0.2, 0.5]),
    "percentile": lambda np, x: np.percentile(x, [10, 50]),
    "take": lambda np, x: np.take(x, [[3, 1], [-1, 0]]),
    "x[i]": lambda np, x: x[np.argsort(x)],
    "x[i] of rows": lambda np, x: x.reshape(7, 100)[np.argsort(x)[:20] % 7],
    "x[m]": lambda np, x: x[x > 0.5],
    "x[m] of rows": lambda np, x: x.reshape(7, 100)[x[:7] > 0.5],
    "bincount": lambda np, x: np.bincount((x * 10).astype(int)),
    "view": lambda np, x: np.sort(x[::-2]),
}


@pytest.mark.parametrize("name", CALLS)
def test_values(name: str) -> None:
    x = there(700)
    expected = CALLS[name](numpy, numpy.array(x))
    got = numpy.asarray(CALLS[name](np, x))
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    numpy.testing.assert_allclose(got, expected, rtol=1e-6 if got.dtype == "f4" else 1e-13)


@pytest.mark.parametrize("name", ["sort", "cumsum", "fft", "view"])
def test_nothing_is_recorded(name: str) -> None:
    x = there(700)
    flushes = runtime.counters.flushes
    result = CALLS[name](np, x)
    assert runtime.window.n == 0
    assert result._store.value is None
    legate.fence()
    assert runtime.counters.flushes == flushes


@pytest.mark.parametrize("name", ["sort", "cumsum", "fft"])
def test_what_waits_is_not_run_for_it(name: str) -> None:
    x = there(700)
    y = x * 2.0
    result = CALLS[name](np, y)
    assert y._store.value is not None
    assert result._store.value is not None
    numpy.testing.assert_allclose(numpy.asarray(result), CALLS[name](numpy, numpy.array(x) * 2.0), rtol=1e-13)


def test_large_arrays_are_recorded() -> None:
    assert np.sort(there(at_once.LARGEST + 1))._store.value is not None
    wide = np.broadcast_to(there(1), (at_once.LARGEST + 1,))
    assert np.cumsum(wide)._store.value is not None


def test_never_without_tier_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers.policy, "interpret_runs", 0)
    assert np.sort(there(100))._store.value is not None


def test_results_are_arrays_of_their_own() -> None:
    x = there(50)
    before = numpy.array(x)
    y, z = np.sort(x), x[np.arange(50)]
    y[0] = 7.0
    z += 1.0
    x[1] = -1.0
    assert y[0] == 7.0
    assert numpy.array_equal(numpy.asarray(z), before + 1.0)
    assert numpy.array_equal(numpy.asarray(x)[2:], before[2:])


@pytest.mark.parametrize("kind", [int, bool])
def test_few_elements_are_picked_by_numpy(kind: type) -> None:
    x, key = there(100), np.array(numpy.arange(100).astype(kind))
    flushes = runtime.counters.flushes
    picked = x[key]
    numpy.testing.assert_array_equal(numpy.asarray(picked), numpy.array(x)[numpy.array(key)])
    x[key] = 3.0
    legate.fence()
    assert runtime.counters.flushes == flushes + (kind is bool)  # masked writes are recorded at first
    assert x[1] == 3.0


@pytest.mark.parametrize("wrong", [50, -51])
def test_indices_out_of_range(wrong: int) -> None:
    x = there(50)
    indices = np.array([0, wrong])
    with pytest.raises(IndexError) as ours:
        x[indices]
    with pytest.raises(IndexError) as theirs:
        numpy.array(x)[numpy.array(indices)]
    assert str(ours.value) == str(theirs.value)


# ---- windows of one operation --------------------------------------------------------------------------------------


def fenced(step: Callable[[], Any], count: int) -> Any:
    """The last of some results, each of which was waited for."""
    result = None
    for _ in range(count):
        result = step()
        legate.fence()
    return result


STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "x + y": lambda x, y: x + y,
    "2 * x": lambda x, y: 2 * x,
    "1 - x": lambda x, y: 1 - x,
    "x.sum()": lambda x, y: x.sum(),
    "x * 2 + y": lambda x, y: x * 2 + y,
}


@pytest.mark.parametrize("name", STEPS)
def test_brief_windows_come_no_more(name: str) -> None:
    x, y = there(100), there(100)
    promoted = tiers.counters.promoted
    fenced(lambda: STEPS[name](x, y), tiers.policy.interpret_runs + 1)
    flushes = runtime.counters.flushes
    got = fenced(lambda: STEPS[name](x, y), 30)
    assert runtime.counters.flushes == flushes
    assert tiers.counters.promoted == promoted
    numpy.testing.assert_allclose(
        numpy.asarray(got), numpy.asarray(STEPS[name](numpy.array(x), numpy.array(y))), rtol=1e-13
    )


def test_long_windows_are_compiled() -> None:
    x = there(100)
    promoted = tiers.counters.promoted

    def step() -> Any:
        y = x
        for k in range(8):
            y = y * 1.5 + float(k)
        return y

    fenced(step, tiers.policy.interpret_runs + 1)
    assert tiers.counters.promoted == promoted + 1


def test_brief_windows_that_come_all_the_same_are_compiled() -> None:
    z = there(100) * (1 + 2j)
    promoted = tiers.counters.promoted
    for _ in range(tiers.policy.interpret_runs + tiers.policy.patience + 2):
        part = z.real.copy()  # recorded: parts of complex numbers are not computed at once
        legate.fence()
        del part
    assert tiers.counters.promoted == promoted + 1


def test_results_computed_at_once_do_not_cut_long_windows() -> None:
    x, y = there(100), there(100)
    done = fenced(lambda: x + y, 10)
    assert done.__class__ is not np.ndarray
    u = x * 1.0
    for k in range(12):
        u = u * 1.5 + float(k)
    flushes = runtime.counters.flushes
    z = u + done
    assert runtime.counters.flushes == flushes
    expected = numpy.array(x)
    for k in range(12):
        expected = expected * 1.5 + k
    numpy.testing.assert_allclose(numpy.asarray(z), expected + numpy.array(x) + numpy.array(y), rtol=1e-13)


# ---- marks are taken back -----------------------------------------------------------------------------------------


def loop(x: Any, y: Any, steps: int) -> Any:
    """Many operations that nobody looks at."""
    for _ in range(steps):
        x = x * 0.5 + y
    return x


def expected_of_loop(x: Any, y: Any, steps: int) -> Any:
    return loop(numpy.array(x), numpy.array(y), steps)


@pytest.mark.parametrize("n", [10, 2000])
def test_a_loop_after_results_looked_at_one_by_one_is_recorded_and_fused(n: int) -> None:
    x, y = there(n), there(n)
    looked = [fenced(lambda: x * 0.5, 10), fenced(lambda: x + y, 10)]
    assert all(found.__class__ is not np.ndarray for found in looked)
    loop(x, y, tiers.PATIENCE)
    assert tiers.changes.times == 1
    flushes, values = runtime.counters.flushes, runtime.counters.values
    z = loop(x, y, 40)
    assert z.__class__ is np.ndarray and z._store.value is not None
    assert runtime.counters.flushes == flushes
    legate.fence()
    assert runtime.counters.values - values >= 80
    numpy.testing.assert_allclose(numpy.asarray(z), expected_of_loop(x, y, 40), rtol=1e-13)


def test_an_instant_array_at_hand_does_not_keep_a_loop_from_being_fused() -> None:
    x, y = there(100), there(100)
    constant = fenced(lambda: x + y, 10)
    assert constant.__class__ is not np.ndarray
    legate.fence()
    z = x
    for _ in range(10 * tiers.PATIENCE):
        z = z * 0.5 + constant
    assert constant.__class__ is np.ndarray
    expected = numpy.array(x)
    for _ in range(10 * tiers.PATIENCE):
        expected = expected * 0.5 + (numpy.array(x) + numpy.array(y))
    numpy.testing.assert_allclose(numpy.asarray(z), expected, rtol=1e-13)


def test_an_instant_array_beside_one_that_waits_is_recorded() -> None:
    x, y = there(100), there(100)
    fenced(lambda: x + y, 10)
    a, b, c, d, e = [fenced(lambda: x + y, 1) for _ in range(5)]
    assert all(each.__class__ is not np.ndarray for each in (a, b, c, d, e))
    flushes = runtime.counters.flushes
    waiting = x * 1.25
    z = (waiting + a, b - waiting, np.maximum(waiting, c), np.stack([d, waiting]))
    waiting += e
    assert runtime.counters.flushes == flushes
    added = numpy.array(x) + numpy.array(y)
    numpy.testing.assert_allclose(numpy.asarray(z[0]), numpy.array(x) * 1.25 + added, rtol=1e-13)
    numpy.testing.assert_allclose(numpy.asarray(z[1]), added - numpy.array(x) * 1.25, rtol=1e-13)
    numpy.testing.assert_allclose(numpy.asarray(waiting), added + numpy.array(x) * 1.25, rtol=1e-13)


def test_results_looked_at_now_and_then_stay_at_once() -> None:
    x, y = there(100), there(100)
    fenced(lambda: x * 0.5, 10)
    fenced(lambda: x + y, 10)
    flushes = runtime.counters.flushes
    for _ in range(50):
        z = loop(x, y, tiers.PATIENCE // 4)
        float(z.sum())
    assert tiers.changes.times == 0
    assert runtime.counters.flushes - flushes <= runtime.READS + 2  # until the sum is known to be looked at


def test_in_place_operations_and_writes_are_counted() -> None:
    x, y = there(100), there(100)
    z = fenced(lambda: x + y, 10)
    w = fenced(lambda: x + y, 1)
    for k in range(2 * tiers.PATIENCE):
        z += 1.0
        w[k] = 0.0
    assert tiers.changes.times == 1
    assert z.__class__ is w.__class__ is np.ndarray
    start = numpy.array(x) + numpy.array(y)
    numpy.testing.assert_allclose(numpy.asarray(z), start + 2 * tiers.PATIENCE, rtol=1e-13)
    start[: 2 * tiers.PATIENCE] = 0
    numpy.testing.assert_array_equal(numpy.asarray(w), start)


def test_who_goes_to_and_fro_is_recorded_for_good() -> None:
    x, y = there(100), there(100)
    for _ in range(tiers.TIMES):
        runtime._plans.clear()
        fenced(lambda: x + y, 10)
        loop(x + y, y, 2 * tiers.PATIENCE)
    assert tiers.changes.times == tiers.TIMES
    runtime._plans.clear()
    done = fenced(lambda: x + y, 10)
    assert done.__class__ is np.ndarray


# ---- prompt calls -------------------------------------------------------------------------------------------------

WATCHED: dict[str, Callable[[Any, Any], Any]] = {
    "concatenate": lambda np, x: np.concatenate([x, x]),
    "stack": lambda np, x: np.stack([x, x]),
    "roll": lambda np, x: np.roll(x, 3),
    "dot": lambda np, x: np.dot(x, x),
    "where": lambda np, x: np.where(x > 0.5, x, 0.0),
    "clip": lambda np, x: np.clip(x, 0.2, 0.8),
    "round": lambda np, x: np.round(x, 2),
    "count_nonzero": lambda np, x: np.count_nonzero(x),
    "diff": lambda np, x: np.diff(x),
    "mean": lambda np, x: x.mean(),
    "repeat": lambda np, x: np.repeat(x, 2),
    "norm": lambda np, x: np.linalg.norm(x),
    "reversed copy": lambda np, x: x[::-1].copy(),
}


@pytest.mark.parametrize("name", WATCHED)
def test_what_is_recorded_is_prompt_once_results_are_looked_at_one_by_one(name: str) -> None:
    x = there(100)
    first = WATCHED[name](np, x)
    assert first._store.value is not None  # recorded
    del first
    fenced(lambda: WATCHED[name](np, x), 8)
    flushes = runtime.counters.flushes
    got = fenced(lambda: WATCHED[name](np, x), 5)
    assert runtime.counters.flushes == flushes
    expected = WATCHED[name](numpy, numpy.array(x))
    assert got.dtype == expected.dtype
    numpy.testing.assert_allclose(numpy.asarray(got), expected, rtol=1e-13)
    tiers.take_back()
    assert WATCHED[name](np, x)._store.value is not None


def test_prompt_calls_write_to_no_argument_and_share_no_memory_with_one() -> None:
    x = there(100)
    kept = numpy.array(x)
    out = np.zeros(100)
    legate.fence()
    assert np.take(x, np.arange(100), None, out) is out
    assert np.cumsum(x, None, None, out) is out
    numpy.testing.assert_allclose(numpy.asarray(out), numpy.cumsum(kept), rtol=1e-13)
    for _ in range(10):
        y = np.nan_to_num(x, copy=False)
        legate.fence()
        turned = np.rot90(x.reshape(10, 10))
        legate.fence()
    assert y is x or y.shape == x.shape
    numpy.testing.assert_array_equal(numpy.asarray(x), kept)
    copy = x.copy()
    turned[0, 0] = 5.0  # a view
    assert x.reshape(10, 10)[0, 9] == 5.0
    numpy.testing.assert_array_equal(numpy.asarray(copy), kept)


def test_results_that_share_memory_with_an_argument_are_recorded_or_copied() -> None:
    x = there(100)
    kept = x.copy()
    ravel = _prompt.Prompt(numpy.ravel, always=False)
    assert ravel.answer((x,), {}) is _prompt.RECORDED
    ravel.watch(x)
    assert not ravel.hot
    library = _prompt.Prompt(numpy.ravel, always=True).answer((x,), {})
    library[0] = 7.0
    numpy.testing.assert_array_equal(numpy.asarray(x), numpy.asarray(kept))


WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "element": lambda x, y: x.__setitem__(3, 1.0),
    "slice": lambda x, y: x.__setitem__(slice(1, -1), y[1:-1]),
    "overlapping slice": lambda x, y: x.__setitem__(slice(1, None), x[:-1]),
    "scalar in a slice": lambda x, y: x.__setitem__(slice(1, -1), 2.0),
    "in place": lambda x, y: x.__iadd__(y),
    "slice in place": lambda x, y: x[2:-2].__imul__(0.5),
    "indices": lambda x, y: x.__setitem__((y * 10).astype(int), 1.0),
    "mask": lambda x, y: x.__setitem__(y > 0.5, 0.0),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes_looked_at_one_by_one_are_done_at_once(name: str) -> None:
    x, y = there(100), there(100)
    host, other = numpy.array(x), numpy.array(y)
    for _ in range(12):
        WRITES[name](x, y)
        legate.fence()
        WRITES[name](host, other)
    flushes, snapshot, copy = runtime.counters.flushes, numpy.asarray(x), x.copy()
    before = host.copy()
    for _ in range(3):
        WRITES[name](x, y)
        legate.fence()
        WRITES[name](host, other)
    assert runtime.counters.flushes == flushes
    numpy.testing.assert_allclose(numpy.asarray(x), host, rtol=1e-13)
    numpy.testing.assert_allclose(snapshot, before, rtol=1e-13)
    numpy.testing.assert_allclose(numpy.asarray(copy), before, rtol=1e-13)


def test_elements_are_read_and_written_at_once() -> None:
    x, a = there(100), there(100).reshape(10, 10).copy()
    total = 0.0
    for _ in range(runtime.READS + 1):
        total += float(x[3]) + float(a[2, 3])
    flushes = runtime.counters.flushes
    for k in range(5):
        x[3] = float(x[3]) + 1.0
        a[2, 3] = k
        assert a[2, 3] == k
    assert isinstance(x[3], numpy.float64)
    assert runtime.counters.flushes <= flushes + 2 * (tiers.policy.interpret_runs + 1)
    with pytest.raises(IndexError, match="index 100 is out of bounds for axis 0 with size 100"):
        x[100]
