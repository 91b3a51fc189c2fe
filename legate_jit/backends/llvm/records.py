"""Loads of fields of records as LLVM IR: whole vectors of memory, from which shuffles take the fields of as many records.

A record is `step` elements. All fields that a vector of records needs are loaded together: `step` vectors, without a gap, from
the first field wanted of the first record to the last one of the last, and nothing outside of that; then the elements are dealt
out by the prime factors of `step`, so that eight fields of eight records take eight loads and 24 shuffles. Knows no kernels.
"""

from __future__ import annotations

from collections.abc import Mapping

from legate_jit.backends.llvm.access import Place, address, alignment, from_memory, load
from legate_jit.backends.llvm.text import Code, Value, memory_type, vector


class Loads:
    """Loads of one vector, that beginning at inner index `index`, from `places`."""

    def __init__(self, places: Mapping[int, Place], index: str) -> None:
        self.places = places
        self.index = index
        self._fields: dict[tuple[str, int], dict[int, str]] = {}

    def load(self, code: Code, key: int) -> Value:
        """The vector of place `key`; a field of records comes with all others that `places` has of them."""
        place = self.places[key]
        record = place.record
        if record is None or code.width == 1:
            return load(code, place, self.index)
        found = self._fields.get((record.pointer, code.width))
        if found is None:
            wanted = sorted(
                p.record.shift
                for p in self.places.values()
                if p.record is not None and p.record.pointer == record.pointer
            )
            start = address(code, place._replace(pointer=record.pointer), self.index)
            found = self._fields[record.pointer, code.width] = _fields(
                code, place.dtype, start, record.step, wanted
            )
        return (from_memory(code, place.dtype, found[record.shift]),)


def _fields(code: Code, dtype: str, pointer: str, step: int, wanted: list[int]) -> dict[int, str]:
    """Vectors of the wanted fields (offsets in elements from `pointer`, ascending) of `code.width` records."""
    memory, width = memory_type(dtype), code.width
    end = (
        (width - 1) * step + wanted[-1] - wanted[0] + 1
    )  # of what may be touched, from the first field wanted
    vectors = []
    for first in range(0, step * width, width):
        beyond = max(first + width - end, 0)
        if beyond >= width:
            vectors.append("poison")
            continue
        spot = code.let(f"getelementptr {memory}, ptr {pointer}, i64 {wanted[0] + first - beyond}")
        loaded = code.let(f"load {vector(width, memory)}, ptr {spot}, align {alignment(dtype)}")
        if beyond:  # the vector reaches back instead
            loaded = code.shuffle(
                memory, loaded, "poison", [min(n + beyond, width - 1) for n in range(width)]
            )
        vectors.append(loaded)
    dealt = _dealt(code, memory, vectors, [w - wanted[0] for w in wanted])
    return {shift: dealt[shift - wanted[0]] for shift in wanted}


def _dealt(code: Code, memory: str, vectors: list[str], wanted: list[int]) -> dict[int, str]:
    """The elements of `vectors`, in a row, at the places n with n % len(vectors) == f, for each wanted f."""
    step = len(vectors)
    if step == 1:
        return {0: vectors[0]}
    prime = next(p for p in range(2, step + 1) if step % p == 0)
    found: dict[int, str] = {}
    for rest in sorted({f % prime for f in wanted}):
        parts = [_every(code, memory, vectors[k : k + prime], rest) for k in range(0, step, prime)]
        inside = _dealt(code, memory, parts, [f // prime for f in wanted if f % prime == rest])
        found.update({f * prime + rest: register for f, register in inside.items()})
    return found


def _every(code: Code, memory: str, vectors: list[str], first: int) -> str:
    """Every len(vectors)-th element of `vectors`, in a row, from element `first` on."""
    width, step = code.width, len(vectors)
    places = [first + lane * step for lane in range(width)]
    taken = vectors[0]
    for number in range(1, step):
        here = [
            (p if number == 1 else lane)
            if p < number * width
            else width + p % width
            if p // width == number
            else 0
            for lane, p in enumerate(places)
        ]
        taken = code.shuffle(memory, taken, vectors[number], here)
    return taken
