"""Machines and ranges of processors: arithmetic, indexing, scoping, and errors."""

from __future__ import annotations

import re
from typing import Any

import pytest

from legate.core import (
    EmptyMachineError,
    Machine,
    ProcessorRange,
    ProcessorSlice,
    TaskTarget,
    get_legate_runtime,
    get_machine,
)

CPU, OMP, GPU = TaskTarget.CPU, TaskTarget.OMP, TaskTarget.GPU
RANGES = {
    CPU: ProcessorRange.create(low=1, high=3, per_node_count=4),
    OMP: ProcessorRange.create(low=0, high=3, per_node_count=2),
    GPU: ProcessorRange.create(low=3, high=6, per_node_count=3),
}
NO_NODES = "Illegal to get a node range of an empty processor range"


def test_kinds_in_order_of_preference() -> None:
    assert list(TaskTarget) == [GPU, OMP, CPU]


def test_range() -> None:
    r = ProcessorRange.create(low=1, high=3, per_node_count=1)
    assert (r.low, r.high, r.per_node_count, r.count, len(r), r.empty) == (1, 3, 1, 2, 2, False)
    assert r.get_node_range() == (1, 3)
    assert repr(r) == str(r) == "Proc([1,3], 1 per node)"


@pytest.mark.parametrize(
    "r", [ProcessorRange(1, 0, 1), ProcessorRange.create(2, 2, 1), ProcessorRange.create_empty()]
)
def test_empty_ranges(r: ProcessorRange) -> None:
    assert r.empty and (r.low, r.high, len(r)) == (0, 0, 0)
    with pytest.raises(ValueError, match=NO_NODES):
        r.get_node_range()
    for some in (r[:], r[0:0], r[4:], r.slice(slice(None))):
        assert not len(some)


def test_slices_of_ranges() -> None:
    r = ProcessorRange.create(low=3, high=8, per_node_count=2)
    assert r[1:3] == r.slice(slice(1, 3)) == ProcessorRange.create(4, 6, 2)
    assert r[4] == ProcessorRange.create(7, 8, 2) == r[-1] == r[-1:]
    assert r[:-1] == ProcessorRange.create(3, 7, 2)
    assert not len(r[5:]) and not len(r[5])
    with pytest.raises(ValueError, match="The slicing step must be 1"):
        r[::2]


def test_ranges_in_common() -> None:
    assert ProcessorRange(0, 3, 1) & ProcessorRange(2, 4, 1) == ProcessorRange(2, 3, 1)
    assert (ProcessorRange(0, 2, 1) & ProcessorRange(3, 5, 1)).empty


def test_order_of_ranges() -> None:
    first, same, later = ProcessorRange(1, 3, 4), ProcessorRange(1, 3, 4), ProcessorRange(2, 6, 4)
    assert first == same and hash(first) == hash(same) and first != later and first != 3
    assert first < later and later > first and not first < same


def test_empty_machine() -> None:
    m = Machine()
    assert (m.preferred_target, len(m), m.valid_targets, m.empty) == (CPU, 0, (), True)
    assert Machine({GPU: ProcessorRange.create_empty()}).empty
    for target in (None, *TaskTarget):
        with pytest.raises(ValueError, match=NO_NODES):
            m.get_node_range(target)
    assert repr(m) == str(m)


def test_machines_are_equal_when_their_processors_are() -> None:
    m = Machine({CPU: RANGES[CPU], OMP: RANGES[OMP]})
    assert m == Machine({OMP: RANGES[OMP], CPU: RANGES[CPU], GPU: ProcessorRange.create_empty()})
    assert hash(m) == hash(Machine({OMP: RANGES[OMP], CPU: RANGES[CPU]}))
    assert m != Machine() and m != 3


@pytest.mark.parametrize("n", [1, 2, 3])
def test_preferred_target(n: int) -> None:
    targets = [CPU, OMP, GPU][:n]
    m = Machine({t: RANGES[t] for t in targets})
    assert m.preferred_target is targets[-1] and len(m) == m.count() == len(RANGES[targets[-1]])
    assert m.valid_targets == tuple(reversed(targets))


def test_queries() -> None:
    m = Machine(RANGES)
    assert m.get_processor_range() == RANGES[GPU] and m.get_processor_range(OMP) == RANGES[OMP]
    assert (m.get_node_range(CPU), m.get_node_range(OMP)) == ((0, 1), (0, 2))
    assert m.get_node_range(GPU) == m.get_node_range() == (1, 2)
    assert [m.count(t) for t in TaskTarget] == [3, 3, 2]


def test_only() -> None:
    m = Machine(RANGES)
    assert m.only(GPU).only(GPU) == m.only(GPU) == m[GPU]
    assert m.only(GPU).count(CPU) == 0
    assert len(m.only([GPU, CPU]).only(CPU)) == len(RANGES[CPU])
    assert m.only([GPU, CPU]).only(OMP).empty


def test_indexing() -> None:
    m = Machine(RANGES)
    assert m[ProcessorSlice(OMP, slice(1, 2))] == Machine({OMP: RANGES[OMP][1:2]})
    assert m[1] == Machine({GPU: RANGES[GPU][1]}) and m[1:] == Machine({GPU: RANGES[GPU][1:]})
    assert m[-1] == m[2] and m[:2] == m.slice(slice(2)) and m.slice(slice(1), CPU) == m.only(CPU)[:1]


def test_processors_in_common() -> None:
    assert Machine({CPU: RANGES[CPU], OMP: RANGES[OMP]}) & Machine(
        {OMP: RANGES[OMP], GPU: RANGES[GPU]}
    ) == Machine({OMP: RANGES[OMP]})
    assert (Machine({CPU: RANGES[CPU]}) & Machine({OMP: RANGES[OMP]})).empty


@pytest.mark.parametrize(
    ("ranges", "text"),
    [
        ("foo", "Expected a dict but got a <class 'str'>"),
        ({"foo": "bar"}, "Invalid task target: foo"),
        ({CPU: "bar"}, "Invalid processor range: bar"),
    ],
)
def test_what_is_no_machine(ranges: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        Machine(ranges)


def test_invalid_slice_target() -> None:
    with pytest.raises(ValueError, match=re.escape(f"Invalid target: {RANGES[CPU]}")):
        Machine().slice(slice(1, 2), RANGES[CPU])  # type: ignore[arg-type]


def test_scopes_of_the_whole_machine_change_nothing() -> None:
    machine = get_machine()
    with machine:
        assert machine == get_machine()
        inner = get_machine()
        with inner:
            assert machine == get_machine()
    assert machine == get_machine() == get_legate_runtime().get_machine()
    with machine:  # again, after it has ended
        pass


def test_scope_of_some_processors() -> None:
    machine = get_machine()
    with machine[:1]:
        assert get_machine().count() == 1
        with machine:  # never more than outside
            assert get_machine().count() == 1
    assert get_machine() == machine


def test_empty_scope() -> None:
    machine = get_machine()
    empty = Machine({machine.preferred_target: ProcessorRange.create_empty()})
    for _ in range(2):  # a scope that failed was not entered
        with pytest.raises(EmptyMachineError, match="Empty machines cannot be used for resource scoping"):
            empty.__enter__()
    with pytest.raises(EmptyMachineError), machine.only(GPU):
        raise AssertionError("there are no GPUs")
    assert get_machine() == machine


def test_machine_in_two_scopes() -> None:
    machine = get_machine()
    with machine:
        with pytest.raises(ValueError, match="Each machine can be set only once to the scope"), machine:
            pass
        assert get_machine() == machine
