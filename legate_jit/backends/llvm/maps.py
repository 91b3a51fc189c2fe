"""'map' kernels as LLVM IR: every section is a sweep over the tiles of rows."""

from __future__ import annotations

from legate_jit.backends.llvm.args import Pointers, walk
from legate_jit.backends.llvm.emitter import Emitter
from legate_jit.backends.llvm.values import ROW


class MapEmitter(Emitter):
    """Elementwise kernels: every section sweeps the rows' tiles."""

    def emit(self) -> None:
        """Units are ranges of one row (one loop), or blocks of rows by tiles."""
        if self.kernel.ndim == 1:
            first = self.flow.multiply("%lo", self.arguments.tile)
            last = self.flow.least(self.flow.multiply("%hi", self.arguments.tile), self.arguments.extent(0))
            self.pointers = self.bases()
            self._row(first, last)
        else:
            self.flow.loop("%lo", "%hi", 1, [], self._unit, nonempty=True)

    def _unit(self, unit: str, _: list[str]) -> list[str]:
        flow, arguments = self.flow, self.arguments
        loops = [self.loop(d, self.in_memory()) for d in range(self.inner)]
        block = flow.let(f"udiv i64 {unit}, {arguments.ntiles}")
        tile = flow.let(f"urem i64 {unit}, {arguments.ntiles}")
        first_row = flow.multiply(block, arguments.rows_per_unit)
        rows = arguments.product([loop.extent for loop in loops])
        last_row = flow.least(flow.add(first_row, arguments.rows_per_unit), rows)
        first = flow.multiply(tile, arguments.tile)
        last = flow.least(flow.add(first, arguments.tile), arguments.extent(self.inner))

        def body(pointers: Pointers, coordinates: dict[int, str]) -> None:
            self.pointers, self.coordinates = pointers, coordinates
            self._row(first, last)

        walk(flow, loops, self.bases(), first_row, last_row, body)
        return []

    def _row(self, first: str, last: str) -> None:
        for number in range(len(self.kernel.sections)):
            self.hoist(number, ROW)
            self.sweep(number, 1).run(first, last)
