"""Loads and stores of scalars and whole vectors as LLVM IR: contiguous, strided, complex. Knows nothing of kernels."""

from __future__ import annotations

from typing import NamedTuple

from legate_jit.backends.llvm.text import (
    Code,
    Value,
    item_size,
    memory_type,
    part,
    register_type,
    vector,
)


class Record(NamedTuple):
    """What an element is a field of: records of `step` elements each, without a gap, of which all between the fields that are
    loaded may be touched. The field lies `shift` elements after `pointer`, at any index."""

    pointer: str
    step: int
    shift: int


class Place(NamedTuple):
    """Where an operand's elements of a row are: `pointer` to the element of inner index 0, `step` bytes between elements
    ('' = contiguous, aligned to the item size). `padded`: private memory in which whole vectors may be touched."""

    dtype: str
    pointer: str
    step: str = ""
    padded: bool = False
    stream: bool = False
    record: Record | None = None


def alignment(dtype: str) -> int:
    """Bytes that an element's components are aligned to."""
    return item_size(part(dtype))


def _element(dtype: str) -> str:
    """LLVM type of a whole element in memory."""
    memory = memory_type(dtype)
    return f"{{ {memory}, {memory} }}" if dtype[0] == "c" else memory


def from_memory(code: Code, dtype: str, value: str) -> str:
    """A register value from what memory holds (booleans are bytes there)."""
    if dtype != "b1":
        return value
    return code.let(f"icmp ne {vector(code.width, 'i8')} {value}, {code.number('i8', 0)}")


def to_memory(code: Code, dtype: str, value: str) -> str:
    """What memory holds for a register value."""
    return code.convert("zext", value, "i1", "i8") if dtype == "b1" else value


def load_scalar(code: Code, dtype: str, pointer: str) -> Value:
    """The element at `pointer` (`code` has one lane)."""
    memory = memory_type(dtype)
    first = from_memory(code, dtype, code.let(f"load {memory}, ptr {pointer}, align {alignment(dtype)}"))
    if dtype[0] != "c":
        return (first,)
    second = code.let(f"getelementptr {memory}, ptr {pointer}, i64 1")
    return (first, code.let(f"load {memory}, ptr {second}, align {alignment(dtype)}"))


def store_scalar(code: Code, dtype: str, pointer: str, value: Value) -> None:
    """Store one element at `pointer`."""
    memory = memory_type(dtype)
    code.put(f"store {memory} {to_memory(code, dtype, value[0])}, ptr {pointer}, align {alignment(dtype)}")
    if dtype[0] == "c":
        second = code.let(f"getelementptr {memory}, ptr {pointer}, i64 1")
        code.put(f"store {memory} {value[1]}, ptr {second}, align {alignment(dtype)}")


def address(code: Code, place: Place, index: str) -> str:
    """Pointer to the element of inner index `index`."""
    if place.step:
        return code.let(
            f"getelementptr i8, ptr {place.pointer}, i64 {code.let(f'mul nsw i64 {index}, {place.step}')}"
        )
    return code.let(f"getelementptr {_element(place.dtype)}, ptr {place.pointer}, i64 {index}")


def load(code: Code, place: Place, index: str) -> Value:
    """The vector that begins at inner index `index`."""
    pointer = address(code, place, index)
    return _load_lanes(code, place, pointer) if place.step else load_here(code, place.dtype, pointer)


def load_here(code: Code, dtype: str, pointer: str) -> Value:
    """The vector at `pointer`."""
    memory, align = memory_type(dtype), alignment(dtype)
    if dtype[0] != "c":
        whole = code.let(f"load {vector(code.width, memory)}, ptr {pointer}, align {align}")
        return (from_memory(code, dtype, whole),)
    return split(
        code, dtype, code.let(f"load {vector(2 * code.width, memory)}, ptr {pointer}, align {align}")
    )


def split(code: Code, dtype: str, pairs: str) -> Value:
    """Interleaved complex elements to planar components."""
    wide, count = code.at(2 * code.width), 2 * code.width
    element = register_type(dtype)
    return tuple(wide.shuffle(element, pairs, "poison", list(range(first, count, 2))) for first in (0, 1))


def weave(code: Code, dtype: str, value: Value) -> str:
    """Planar components to interleaved complex elements."""
    order = [lane + half * code.width for lane in range(code.width) for half in (0, 1)]
    return code.shuffle(register_type(dtype), value[0], value[1], order)


def _load_lanes(code: Code, place: Place, pointer: str) -> Value:
    scalar = code.at(1)
    memory = memory_type(place.dtype)
    t = vector(code.width, memory)
    lanes = ["poison"] * (2 if place.dtype[0] == "c" else 1)
    for lane in range(code.width):
        if lane:
            pointer = code.let(f"getelementptr i8, ptr {pointer}, i64 {place.step}")
        for number in range(len(lanes)):
            spot = pointer if number == 0 else scalar.let(f"getelementptr {memory}, ptr {pointer}, i64 1")
            one = scalar.let(f"load {memory}, ptr {spot}, align {alignment(place.dtype)}")
            lanes[number] = code.let(f"insertelement {t} {lanes[number]}, {memory} {one}, i64 {lane}")
    return tuple(from_memory(code, place.dtype, v) for v in lanes)


def store(code: Code, place: Place, index: str, value: Value, *, stream: bool = False) -> None:
    """Store a vector beginning at inner index `index`; `stream`: past the caches, at an address aligned to the vector."""
    pointer = address(code, place, index)
    if place.step:
        _store_lanes(code, place, pointer, value)
        return
    memory = memory_type(place.dtype)
    count = code.width
    if place.dtype[0] == "c":
        whole, count = weave(code, place.dtype, value), 2 * code.width
    else:
        whole = to_memory(code, place.dtype, value[0])
    if stream:
        align = count * alignment(place.dtype)
        code.module.metadata["!0"] = "!{i32 1}"
        code.put(f"store {vector(count, memory)} {whole}, ptr {pointer}, align {align}, !nontemporal !0")
    else:
        code.put(f"store {vector(count, memory)} {whole}, ptr {pointer}, align {alignment(place.dtype)}")


def _store_lanes(code: Code, place: Place, pointer: str, value: Value) -> None:
    scalar = code.at(1)
    for lane in range(code.width):
        if lane:
            pointer = code.let(f"getelementptr i8, ptr {pointer}, i64 {place.step}")
        one = tuple(code.lane(place.dtype, v, lane) for v in value)
        store_scalar(scalar, place.dtype, pointer, one)
