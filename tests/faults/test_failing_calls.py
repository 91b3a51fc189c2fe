"""An error inside a lazy library call: raised at the read, as often as somebody reads; nothing else is harmed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import cupynumeric as cn
from cupynumeric._calls import lazy
from legate_jit import runtime
from legate_jit.backends.calls import library
from legate_jit.immediate import at_once
from legate_jit.running import tiers


class _Flaky:
    """A library call that fails while `broken`, and counts."""

    def __init__(self) -> None:
        self.broken = True
        self.calls = 0

    def __call__(self, args: Any, outs: Any, options: Any) -> None:
        self.calls += 1
        if self.broken:
            outs[0][...] = -1e9  # what nobody may ever see
            raise ZeroDivisionError("inside the call")
        outs[0][...] = args[0] + 1


@pytest.fixture(params=["compiled", "direct"])
def flaky(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Flaky]:
    monkeypatch.setattr(at_once, "LARGEST", -1)  # all calls are recorded
    saved = tiers.policy.interpret_runs
    tiers.policy.interpret_runs = 0 if request.param == "compiled" else 1_000_000
    call = _Flaky()
    library.TABLE["faults.flaky"] = call
    yield call
    call.broken = False
    runtime.fence()
    del library.TABLE["faults.flaky"]
    tiers.policy.interpret_runs = saved


def _fails(array: Any) -> None:
    with pytest.raises(ZeroDivisionError, match="inside the call"):
        np.asarray(array)


def test_every_read_raises_until_the_call_succeeds(flaky: _Flaky) -> None:
    x = cn.arange(6.0)
    y = lazy("faults.flaky", (x,), (6,), float)
    z = y * 2
    x += 10  # in place: must not be applied twice, nor be seen by the call
    for _ in range(3):
        _fails(z)
        _fails(y)
    flaky.broken = False
    assert z.tolist() == [2.0 * (k + 1) for k in range(6)]
    assert y.tolist() == [k + 1.0 for k in range(6)]
    assert x.tolist() == [k + 10.0 for k in range(6)]


def test_later_operations_on_a_failed_array_raise_too(flaky: _Flaky) -> None:
    x = cn.arange(6.0)
    y = lazy("faults.flaky", (x,), (6,), float)
    _fails(y)
    w = y + 1
    y[2] = 5
    _fails(w)
    _fails(y)
    flaky.broken = False
    assert w.tolist() == [k + 2.0 for k in range(6)]
    assert y.tolist() == [1.0, 2.0, 5.0, 4.0, 5.0, 6.0]


def test_other_arrays_stay_usable(flaky: _Flaky) -> None:
    """All but those that the same run was to compute."""
    x = cn.arange(6.0)
    other = cn.ones(4)
    runtime.fence()
    y = lazy("faults.flaky", (x,), (6,), float)
    _fails(y)
    assert other.tolist() == [1.0] * 4
    assert x.tolist() == list(range(6))
    assert float((x + 1).sum()) == 21.0
    _fails(y)


def test_a_failed_array_that_nobody_holds_is_forgotten(flaky: _Flaky) -> None:
    x = cn.arange(6.0)
    y = lazy("faults.flaky", (x,), (6,), float)
    z = y - 1
    _fails(z)
    del y, z
    calls = flaky.calls
    assert (x + 1).tolist() == [k + 1.0 for k in range(6)]
    runtime.fence()
    assert flaky.calls == calls


def test_a_window_that_mentions_a_failed_array_can_go_on_without_it(flaky: _Flaky) -> None:
    x = cn.arange(6.0)
    y = lazy("faults.flaky", (x,), (6,), float)
    _fails(y)
    w, other = y + 1, x + 2
    _fails(w)
    del y, w
    assert other.tolist() == [k + 2.0 for k in range(6)]


def test_a_fence_raises_too(flaky: _Flaky) -> None:
    x = cn.arange(6.0)
    y = lazy("faults.flaky", (x,), (6,), float)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            runtime.fence()
    flaky.broken = False
    runtime.fence()
    assert y.tolist() == [k + 1.0 for k in range(6)]


def test_an_input_changed_afterwards_is_not_seen_by_the_retry(flaky: _Flaky) -> None:
    x = cn.arange(6.0)
    y = lazy("faults.flaky", (x,), (6,), float)
    _fails(y)
    x *= 100
    x[0] = 7
    assert x.tolist() == [7.0, 100.0, 200.0, 300.0, 400.0, 500.0]
    flaky.broken = False
    assert y.tolist() == [k + 1.0 for k in range(6)]


def test_a_call_that_is_carried_out_at_once_raises_at_once(
    flaky: _Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_once, "LARGEST", 100)
    tiers.policy.interpret_runs = 2  # what it was is the fixture's to restore
    x = cn.arange(6.0)
    runtime.fence()
    with pytest.raises(ZeroDivisionError, match="inside the call"):
        lazy("faults.flaky", (x,), (6,), float)
    flaky.broken = False
    assert lazy("faults.flaky", (x,), (6,), float).tolist() == [k + 1.0 for k in range(6)]
    assert x.tolist() == [float(k) for k in range(6)]
