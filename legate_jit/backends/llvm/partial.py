"""The partial vector at the end of a row as LLVM IR: the same code as for whole vectors, on the lanes that exist.

The vector's last lane is the last element of its part of the row, so that it reaches back over elements done already; the
lanes that are new form the mask. Contiguous operands use masked loads and stores where the host has them. All others are
loaded whole, and stored with the old elements put back, where the row is long enough to reach back; short rows go through
a small buffer on the stack that an element loop fills and empties. Knows nothing of kernels.
"""

from __future__ import annotations

import copy

from legate_jit.backends.llvm.access import (
    Place,
    address,
    alignment,
    from_memory,
    load,
    load_here,
    load_scalar,
    split,
    store,
    store_scalar,
    to_memory,
    weave,
)
from legate_jit.backends.llvm.flow import Flow
from legate_jit.backends.llvm.records import Loads
from legate_jit.backends.llvm.text import Value, iota, item_size, memory_type, part, vector

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


def _raw(place: Place) -> Place:
    """Booleans as the bytes they are in memory."""
    return place._replace(dtype="u1") if place.dtype == "b1" else place


class Partial:
    """One partial vector of at most `width` elements from inner index `index` on, fewer where the row ends at `last`; the
    row's part begins at `first`.

    `reads` and `writes` are the places (by any key) the vector loads and stores; call `load` and `store` for them and
    `finish` at the end. `window` is the inner index of lane 0, `mask` holds the new lanes.
    """

    def __init__(
        self,
        flow: Flow,
        width: int,
        bounds: tuple[str, str, str],
        reads: dict[int, Place],
        writes: dict[int, Place],
    ) -> None:
        self.first, self.index, last = bounds
        self.flow = flow
        self.code = flow.code(width)
        self.count = flow.least(flow.let(f"sub nsw i64 {last}, {self.index}"), str(width))
        self.missing = flow.let(f"sub nsw i64 {width}, {self.count}")
        self.window = flow.let(f"sub nsw i64 {self.index}, {self.missing}")
        self.reads, self.writes = reads, writes
        self._mask = ""
        self._signs: dict[tuple[int, int], str] = {}
        self._loaded: dict[int, Value] = {}
        self._stored: dict[int, Value] = {}
        self._fits = ""
        buffered = {k: p for k, p in reads.items() if not self._direct(p)}
        if buffered or any(not self._direct(p) for p in writes.values()):
            self._fits = flow.let(f"icmp sge i64 {self.window}, {self.first}")
        if buffered:
            self._load_buffered(buffered)

    def reading(self, reads: dict[int, Place]) -> Partial:
        """The same lanes of other places, loaded here: in a loop after this one. Its own mask must have been asked for."""
        other = copy.copy(self)
        other.reads, other.writes = reads, {}
        other._signs, other._loaded, other._stored = {}, {}, {}
        buffered = {k: p for k, p in reads.items() if not self._direct(p)}
        if buffered:
            other._fits = self.flow.let(f"icmp sge i64 {self.window}, {self.first}")
            other._load_buffered(buffered)
        return other

    # ------------------------------------------------------------ masks

    @property
    def mask(self) -> str:
        """Mask of the new lanes."""
        if not self._mask:
            width = self.code.width
            bits = min(64, max(8, 8 * self.flow.module.vector_bytes // width))
            spread = self._spread(f"i{bits}", width, self.missing)
            self._mask = self.flow.let(
                f"icmp sge {vector(width, f'i{bits}')} {iota(width, f'i{bits}')}, {spread}"
            )
        return self._mask

    def _spread(self, element: str, count: int, number: str) -> str:
        """A 64-bit number, cut to `element`, in all of `count` lanes."""
        t = vector(count, element)
        short = number if element == "i64" else self.flow.let(f"trunc i64 {number} to {element}")
        one = self.flow.let(f"insertelement {t} poison, {element} {short}, i64 0")
        return self.flow.let(f"shufflevector {t} {one}, {t} poison, <{count} x i32> zeroinitializer")

    def _sign_mask(self, memory: str, count: int) -> tuple[str, str]:
        """(type, register) of the mask as AVX wants it: the sign bits of missing lanes - 1 - lane number."""
        bits = 8 * _BYTES[memory]
        element = f"i{bits}"
        t = vector(count, element)
        if (bits, count) not in self._signs:
            missing = self.missing
            if count > self.code.width:  # components of complex elements
                missing = self.flow.multiply(missing, 2)
            spread = self._spread(element, count, self.flow.add(missing, -1))
            self._signs[bits, count] = self.flow.let(f"sub {t} {spread}, {iota(count, element)}")
        return t, self._signs[bits, count]

    def _lanes(self, count: int) -> str:
        """The mask for `count` components in memory."""
        if count == self.code.width:
            return self.mask
        return self.code.shuffle("i1", self.mask, "poison", [lane // 2 for lane in range(count)])

    def _direct(self, place: Place) -> bool:
        """Whether whole or masked vector accesses reach this place for every length of row."""
        if place.padded:
            return True
        if place.step:
            return False
        widest = self.flow.module.vector_bytes
        return widest == 64 or (widest == 32 and alignment(place.dtype) >= 4)

    # ------------------------------------------------------------ short rows

    def _buffer(self, place: Place) -> str:
        name = self.flow.module.fresh()
        size = self.code.width * item_size(place.dtype)
        self.flow.allocas.append(f"  {name} = alloca [{size} x i8], align 64")
        return name

    def _copy(self, places: dict[int, Place], buffers: dict[int, str], inward: bool) -> None:
        """Element loop between memory and the last lanes of the buffers."""

        def one(number: str, _: list[str]) -> list[str]:
            code = self.flow.code()
            index, lane = self.flow.add(self.index, number), self.flow.add(self.missing, number)
            for key, place in places.items():
                outside = address(code, place, index)
                inside = address(code, Place(place.dtype, buffers[key]), lane)
                source, target = (outside, inside) if inward else (inside, outside)
                store_scalar(code, place.dtype, target, load_scalar(code, place.dtype, source))
            return []

        self.flow.loop("0", self.count, 1, [], one, nonempty=True)

    def _load_buffered(self, places: dict[int, Place]) -> None:
        """Loads of places that masks do not reach."""
        raw = {k: _raw(p) for k, p in places.items()}
        types = [self.code.type(p.dtype) for p in raw.values() for _ in range(2 if p.dtype[0] == "c" else 1)]

        def whole() -> list[str]:
            code = self.flow.code(self.code.width)
            loads = Loads(raw, self.window)
            return [r for k in raw for r in loads.load(code, k)]

        def short() -> list[str]:
            code = self.flow.code(self.code.width)
            buffers = {k: self._buffer(p) for k, p in raw.items()}
            for key, place in raw.items():  # lanes that do not exist compute on zeros
                size = code.width * item_size(place.dtype)
                self.flow.put(f"store <{size} x i8> zeroinitializer, ptr {buffers[key]}, align 64")
            self._copy(raw, buffers, inward=True)
            return [r for k, p in raw.items() for r in load_here(code, p.dtype, buffers[k])]

        registers = iter(self.flow.choose(self._fits, types, whole, short))
        for key, place in places.items():
            value = tuple(next(registers) for _ in range(2 if place.dtype[0] == "c" else 1))
            self._loaded[key] = (
                (from_memory(self.code, place.dtype, value[0]),) if place.dtype == "b1" else value
            )

    def finish(self) -> None:
        """Do the stores that masks do not reach."""
        raw = {k: _raw(self.writes[k]) for k in self._stored}
        if not raw:
            return
        mask = self.mask

        def whole() -> list[str]:
            code = self.flow.code(self.code.width)
            for key, place in raw.items():
                self._blend(code.width, place, self._stored[key], mask)
            return []

        def short() -> list[str]:
            code = self.flow.code(self.code.width)
            buffers = {k: self._buffer(p) for k, p in raw.items()}
            for key, place in raw.items():
                store(code, Place(place.dtype, buffers[key]), "0", self._stored[key])
            self._copy(raw, buffers, inward=False)
            return []

        self.flow.choose(self._fits, [], whole, short)

    def _blend(self, width: int, place: Place, value: Value, mask: str) -> None:
        """Store whole vectors with the old elements where the mask is off."""
        code = self.flow.code(width)
        old = load(code, place, self.window)
        real = part(place.dtype)
        kept = tuple(code.select(mask, real, v, o) for v, o in zip(value, old, strict=True))
        store(code, place, self.window, kept)

    # ------------------------------------------------------------ the vector's loads and stores

    def load(self, key: int) -> Value:
        """The vector of read operand `key`; lanes that are not new hold zeros or old elements."""
        place = self.reads[key]
        if key in self._loaded:
            return self._loaded[key]
        if place.padded:
            return load(self.code, place, self.window)
        dtype = place.dtype
        pointer = address(self.code, place, self.window)
        whole = self._masked_load(
            memory_type(dtype), 2 * self.code.width if dtype[0] == "c" else self.code.width, pointer
        )
        return split(self.code, dtype, whole) if dtype[0] == "c" else (from_memory(self.code, dtype, whole),)

    def store(self, key: int, value: Value) -> None:
        """Store the new lanes to write operand `key`."""
        place = self.writes[key]
        dtype = place.dtype
        if place.padded:
            self._blend(self.code.width, place, value, self.mask)
        elif not self._direct(place):
            self._stored[key] = (to_memory(self.code, dtype, value[0]),) if dtype == "b1" else value
        else:
            pointer = address(self.code, place, self.window)
            if dtype[0] == "c":
                self._masked_store(
                    memory_type(dtype), 2 * self.code.width, pointer, weave(self.code, dtype, value)
                )
            else:
                self._masked_store(
                    memory_type(dtype), self.code.width, pointer, to_memory(self.code, dtype, value[0])
                )

    def _masked_load(self, memory: str, count: int, pointer: str) -> str:
        t, module = vector(count, memory), self.flow.module
        native = _AVX_MASKED.get((memory, count)) if module.vector_bytes == 32 else None
        if native:
            m, signs = self._sign_mask(memory, count)
            symbol = module.declare(f"@llvm.x86.{native[0]}", t, f"ptr, {m}", "nounwind memory(argmem: read)")
            return self.flow.let(f"call {t} {symbol}(ptr {pointer}, {m} {signs})")
        mask = self._lanes(count)
        types = f"ptr, i32, <{count} x i1>, {t}"
        symbol = module.declare(
            f"@llvm.masked.load.{_mangle(count, memory)}.p0", t, types, "nounwind memory(argmem: read)"
        )
        align = _BYTES[memory]
        return self.flow.let(
            f"call {t} {symbol}(ptr {pointer}, i32 {align}, <{count} x i1> {mask}, {t} zeroinitializer)"
        )

    def _masked_store(self, memory: str, count: int, pointer: str, whole: str) -> None:
        t, module = vector(count, memory), self.flow.module
        native = _AVX_MASKED.get((memory, count)) if module.vector_bytes == 32 else None
        if native:
            m, signs = self._sign_mask(memory, count)
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


def _mangle(count: int, memory: str) -> str:
    return f"v{count}" + {"float": "f32", "double": "f64"}.get(memory, memory)
