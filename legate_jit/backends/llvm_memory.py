"""Loads and stores of vectors as LLVM IR: contiguous, strided, complex, and the partial vector at the end of a row.

A partial vector runs the same code as a full one: contiguous operands use masked loads and stores where the host has them,
all others pass through a small buffer on the stack that an element loop fills and empties. Knows nothing of kernels.
"""

from __future__ import annotations

from typing import NamedTuple

from legate_jit.backends.llvm_flow import Flow
from legate_jit.backends.llvm_text import (
    Code,
    Value,
    iota,
    item_size,
    memory_type,
    part,
    register_type,
    vector,
)

_BYTES = {"i8": 1, "i16": 2, "i32": 4, "i64": 8, "float": 4, "double": 8}
#: AVX2's masked loads and stores, by element and lanes: they take masks as they come, without a detour through bits.
_AVX_MASKED = {
    ("double", 4): ("avx.maskload.pd.256", "avx.maskstore.pd.256"),
    ("float", 8): ("avx.maskload.ps.256", "avx.maskstore.ps.256"),
    ("float", 4): ("avx.maskload.ps", "avx.maskstore.ps"),
    ("i64", 4): ("avx2.maskload.q.256", "avx2.maskstore.q.256"),
    ("i32", 8): ("avx2.maskload.d.256", "avx2.maskstore.d.256"),
    ("i32", 4): ("avx2.maskload.d", "avx2.maskstore.d"),
}


class Place(NamedTuple):
    """Where an operand's elements of a row are: `pointer` to the element of inner index 0, `step` bytes between elements
    ('' = contiguous, aligned to the item size). `padded`: private memory in which whole vectors may be touched."""

    dtype: str
    pointer: str
    step: str = ""
    padded: bool = False
    stream: bool = False


def _alignment(dtype: str) -> int:
    return item_size(part(dtype))


def _element(dtype: str) -> str:
    """LLVM type of a whole element in memory."""
    memory = memory_type(dtype)
    return f"{{ {memory}, {memory} }}" if dtype[0] == "c" else memory


def _from_memory(code: Code, dtype: str, value: str) -> str:
    if dtype != "b1":
        return value
    return code.let(f"icmp ne {vector(code.width, 'i8')} {value}, {code.number('i8', 0)}")


def _to_memory(code: Code, dtype: str, value: str) -> str:
    return code.convert("zext", value, "i1", "i8") if dtype == "b1" else value


def load_scalar(code: Code, dtype: str, pointer: str) -> Value:
    """The element at `pointer` (`code` has one lane)."""
    memory = memory_type(dtype)
    first = _from_memory(code, dtype, code.let(f"load {memory}, ptr {pointer}, align {_alignment(dtype)}"))
    if dtype[0] != "c":
        return (first,)
    second = code.let(f"getelementptr {memory}, ptr {pointer}, i64 1")
    return (first, code.let(f"load {memory}, ptr {second}, align {_alignment(dtype)}"))


def store_scalar(code: Code, dtype: str, pointer: str, value: Value) -> None:
    """Store one element at `pointer`."""
    memory = memory_type(dtype)
    code.put(f"store {memory} {_to_memory(code, dtype, value[0])}, ptr {pointer}, align {_alignment(dtype)}")
    if dtype[0] == "c":
        second = code.let(f"getelementptr {memory}, ptr {pointer}, i64 1")
        code.put(f"store {memory} {value[1]}, ptr {second}, align {_alignment(dtype)}")


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
    return _load_lanes(code, place, pointer) if place.step else _load_here(code, place.dtype, pointer)


def _load_here(code: Code, dtype: str, pointer: str) -> Value:
    memory, align = memory_type(dtype), _alignment(dtype)
    if dtype[0] != "c":
        whole = code.let(f"load {vector(code.width, memory)}, ptr {pointer}, align {align}")
        return (_from_memory(code, dtype, whole),)
    return _split(
        code, dtype, code.let(f"load {vector(2 * code.width, memory)}, ptr {pointer}, align {align}")
    )


def _split(code: Code, dtype: str, pairs: str) -> Value:
    """Interleaved complex elements to planar components."""
    wide, count = code.at(2 * code.width), 2 * code.width
    element = register_type(dtype)
    return tuple(wide.shuffle(element, pairs, "poison", list(range(first, count, 2))) for first in (0, 1))


def _weave(code: Code, dtype: str, value: Value) -> str:
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
            one = scalar.let(f"load {memory}, ptr {spot}, align {_alignment(place.dtype)}")
            lanes[number] = code.let(f"insertelement {t} {lanes[number]}, {memory} {one}, i64 {lane}")
    return tuple(_from_memory(code, place.dtype, v) for v in lanes)


def store(code: Code, place: Place, index: str, value: Value, *, stream: bool = False) -> None:
    """Store a vector beginning at inner index `index`; `stream`: past the caches, at an address aligned to the vector."""
    pointer = address(code, place, index)
    if place.step:
        _store_lanes(code, place, pointer, value)
        return
    memory = memory_type(place.dtype)
    count = code.width
    if place.dtype[0] == "c":
        whole, count = _weave(code, place.dtype, value), 2 * code.width
    else:
        whole = _to_memory(code, place.dtype, value[0])
    if stream:
        align = count * _alignment(place.dtype)
        code.module.metadata["!0"] = "!{i32 1}"
        code.put(f"store {vector(count, memory)} {whole}, ptr {pointer}, align {align}, !nontemporal !0")
    else:
        code.put(f"store {vector(count, memory)} {whole}, ptr {pointer}, align {_alignment(place.dtype)}")


def _store_lanes(code: Code, place: Place, pointer: str, value: Value) -> None:
    scalar = code.at(1)
    for lane in range(code.width):
        if lane:
            pointer = code.let(f"getelementptr i8, ptr {pointer}, i64 {place.step}")
        one = tuple(code.lane(place.dtype, v, lane) for v in value)
        store_scalar(scalar, place.dtype, pointer, one)


class Partial:
    """One partial vector: at most `width` elements from inner index `index` on, fewer where the row ends at `end`.

    `reads` and `writes` are the places (by operand number) the vector loads and stores; call `load` and `store` for them and
    `finish` at the end. `mask` holds the lanes that exist.
    """

    def __init__(
        self, flow: Flow, width: int, index: str, end: str, reads: dict[int, Place], writes: dict[int, Place]
    ) -> None:
        self.flow = flow
        self.code = flow.code(width)
        self.index = index
        left = flow.let(f"sub nsw i64 {end}, {index}")
        self.count = flow.least(left, str(width))
        self._mask = ""
        self._sign_masks: dict[tuple[int, int], str] = {}
        self.writes = writes
        self.reads = reads
        self._loaded: dict[int, str] = {}
        self._stored: dict[int, str] = {}
        buffered = {k: p for k, p in reads.items() if not self._direct(p)}
        if buffered:
            self._copy(buffered, self._loaded, inward=True)

    @property
    def mask(self) -> str:
        """Mask of the lanes that exist."""
        if not self._mask:
            self._mask = self._make_mask()
        return self._mask

    def _make_mask(self) -> str:
        width = self.code.width
        bits = min(64, max(8, 8 * self.flow.module.vector_bytes // width))
        element = f"i{bits}"
        count = self.count if bits == 64 else self.flow.let(f"trunc i64 {self.count} to {element}")
        t = vector(width, element)
        one = self.flow.let(f"insertelement {t} poison, {element} {count}, i64 0")
        spread = self.flow.let(f"shufflevector {t} {one}, {t} poison, <{width} x i32> zeroinitializer")
        return self.flow.let(f"icmp slt {t} {iota(width, element)}, {spread}")

    def _direct(self, place: Place) -> bool:
        """Whether whole or masked vector accesses reach this place."""
        if place.padded:
            return True
        if place.step:
            return False
        widest = self.flow.module.vector_bytes
        return widest == 64 or (widest == 32 and _alignment(place.dtype) >= 4)

    def _buffer(self, buffers: dict[int, str], key: int, place: Place) -> str:
        if key not in buffers:
            name = self.flow.module.fresh()
            size = self.code.width * item_size(place.dtype)
            self.flow.allocas.append(f"  {name} = alloca [{size} x i8], align 64")
            buffers[key] = name
        return buffers[key]

    def _copy(self, places: dict[int, Place], buffers: dict[int, str], inward: bool) -> None:
        """Element loop between memory and buffers."""
        for key, place in places.items():
            buffer = self._buffer(buffers, key, place)
            if inward:  # lanes that do not exist compute on zeros
                size = self.code.width * item_size(place.dtype)
                self.flow.put(f"store <{size} x i8> zeroinitializer, ptr {buffer}, align 64")

        def one(number: str, _: list[str]) -> list[str]:
            code = self.flow.code()
            index = self.flow.add(self.index, number)
            for key, place in places.items():
                outside = address(code, place, index)
                inside = address(code, Place(place.dtype, buffers[key]), number)
                source, target = (outside, inside) if inward else (inside, outside)
                store_scalar(code, place.dtype, target, load_scalar(code, place.dtype, source))
            return []

        self.flow.loop("0", self.count, 1, [], one, nonempty=True)

    def load(self, key: int) -> Value:
        """The vector of read operand `key`; lanes that do not exist hold zeros (or anything, in padded places)."""
        place = self.reads[key]
        if place.padded:
            return load(self.code, place, self.index)
        if key in self._loaded:
            return _load_here(self.code, place.dtype, self._loaded[key])
        dtype = place.dtype
        pointer = address(self.code, place, self.index)
        whole = self._masked_load(
            memory_type(dtype), 2 * self.code.width if dtype[0] == "c" else self.code.width, pointer
        )
        return (
            _split(self.code, dtype, whole) if dtype[0] == "c" else (_from_memory(self.code, dtype, whole),)
        )

    def _masked_load(self, memory: str, count: int, pointer: str) -> str:
        t, module = vector(count, memory), self.flow.module
        native = _AVX_MASKED.get((memory, count)) if module.vector_bytes == 32 else None
        if native:
            m, signs = self._signs(memory, count)
            symbol = module.declare(f"@llvm.x86.{native[0]}", t, f"ptr, {m}", "nounwind memory(argmem: read)")
            return self.flow.let(f"call {t} {symbol}(ptr {pointer}, {m} {signs})")
        mask = self._lanes(count)
        symbol = module.declare(
            f"@llvm.masked.load.{_mangle(count, memory)}.p0", t, f"ptr, i32, <{count} x i1>, {t}",
            "nounwind memory(argmem: read)",
        )  # fmt: skip
        align = _BYTES[memory]
        return self.flow.let(
            f"call {t} {symbol}(ptr {pointer}, i32 {align}, <{count} x i1> {mask}, {t} zeroinitializer)"
        )

    def _masked_store(self, memory: str, count: int, pointer: str, whole: str) -> None:
        t, module = vector(count, memory), self.flow.module
        native = _AVX_MASKED.get((memory, count)) if module.vector_bytes == 32 else None
        if native:
            m, signs = self._signs(memory, count)
            symbol = module.declare(f"@llvm.x86.{native[1]}", "void", f"ptr, {m}, {t}", "nounwind")
            self.flow.put(f"call void {symbol}(ptr {pointer}, {m} {signs}, {t} {whole})")
            return
        mask = self._lanes(count)
        symbol = module.declare(
            f"@llvm.masked.store.{_mangle(count, memory)}.p0",
            "void",
            f"{t}, ptr, i32, <{count} x i1>",
            "nounwind",
        )
        self.flow.put(
            f"call void {symbol}({t} {whole}, ptr {pointer}, i32 {_BYTES[memory]}, <{count} x i1> {mask})"
        )

    def _signs(self, memory: str, count: int) -> tuple[str, str]:
        """(type, register) of the mask as AVX wants it: the sign bits of lane number - count of lanes."""
        bits = 8 * _BYTES[memory]
        element = f"i{bits}"
        t = vector(count, element)
        if (bits, count) not in self._sign_masks:
            left = self.count if bits == 64 else self.flow.let(f"trunc i64 {self.count} to {element}")
            if count > self.code.width:
                left = self.flow.let(f"shl {element} {left}, 1")  # components of complex elements
            one = self.flow.let(f"insertelement {t} poison, {element} {left}, i64 0")
            spread = self.flow.let(f"shufflevector {t} {one}, {t} poison, <{count} x i32> zeroinitializer")
            self._sign_masks[bits, count] = self.flow.let(f"sub {t} {iota(count, element)}, {spread}")
        return t, self._sign_masks[bits, count]

    def _lanes(self, count: int) -> str:
        """The mask for `count` components in memory."""
        width = self.code.width
        if count == width:
            return self.mask
        return self.code.shuffle("i1", self.mask, "poison", [lane // 2 for lane in range(count)])

    def store(self, key: int, value: Value) -> None:
        """Store the lanes that exist to write operand `key`."""
        place = self.writes[key]
        if place.padded:
            store(self.code, place, self.index, value)
            return
        if not self._direct(place):
            store(self.code, Place(place.dtype, self._buffer(self._stored, key, place)), "0", value)
            return
        dtype = place.dtype
        pointer = address(self.code, place, self.index)
        if dtype[0] == "c":
            self._masked_store(
                memory_type(dtype), 2 * self.code.width, pointer, _weave(self.code, dtype, value)
            )
        else:
            self._masked_store(
                memory_type(dtype), self.code.width, pointer, _to_memory(self.code, dtype, value[0])
            )

    def finish(self) -> None:
        """Write buffered stores back to memory."""
        if self._stored:
            self._copy({k: self.writes[k] for k in self._stored}, self._stored, inward=False)


def _mangle(count: int, memory: str) -> str:
    return f"v{count}" + {"float": "f32", "double": "f64"}.get(memory, memory)
