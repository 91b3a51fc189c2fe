"""Streams: files that rank 0 writes from beginning to end, text and archives, of blocks that the other ranks send.

No rank ever has more of an array than its part and a block. What text looks like, and an array inside an archive, is NumPy's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from legate_jit.files import atomic
from legate_jit.files.shards import Deferred, Shards, agreed, brought, pieces, rows, run_writing, same

if TYPE_CHECKING:
    from legate_jit.comm.base import Comm

__all__ = ["archive", "text"]

Opener = Callable[[str], AbstractContextManager[Any]]


def _streamed(comm: Comm, shards: Shards, to: Callable[[np.ndarray], Any], lines: bool = False) -> None:
    """Give all of the array to `to`, on rank 0, in blocks in C order (of whole `lines`, if asked). `to` raises nothing."""
    if not shards.shape:
        if comm.rank == 0:
            to(shards.parts[0])
        return
    whole = tuple((0, n) for n in shards.shape)
    itemsize = shards.dtype.itemsize
    mine = rows(shards.shape, itemsize) if lines else pieces(whole, itemsize)
    for _, block in brought(comm, shards, [mine, *(() for _ in range(comm.size - 1))]):
        if comm.rank == 0:
            to(block)


def _written(path: str, opener: Opener, write: Callable[[Comm, Any, Deferred], None], *what: object) -> None:
    """`write(comm, open file, what can fail)` on all ranks, of which only rank 0 has the file; then it takes the place of
    `path`."""

    def program(comm: Comm) -> None:
        same(comm, path, *what)
        with contextlib.ExitStack() as stack:

            def opened() -> Any:
                return stack.enter_context(opener(stack.enter_context(atomic.replaced_here(path))))

            file = agreed(comm, opened if comm.rank == 0 else lambda: None)
            deferred = Deferred()
            write(comm, file, deferred)
            agreed(comm, deferred.end)
            agreed(comm, stack.pop_all().close if comm.rank == 0 else lambda: None)

    run_writing(program)


def text(
    path: str, shards: Shards, opener: Opener, put: Callable[[Any, np.ndarray, bool, bool], None]
) -> None:
    """Write an array as text: `put(open file, block, whether it is the first, whether it is the last)` writes some lines."""

    def write(comm: Comm, file: Any, deferred: Deferred) -> None:
        held: list[np.ndarray] = []  # it is not known of a block whether it is the last
        begun: list[bool] = []

        def take(block: np.ndarray) -> None:
            if held:
                deferred.do(put, file, held.pop(), not begun, False)
                begun.append(True)
            held.append(block)

        _streamed(comm, shards, take, lines=True)
        if comm.rank == 0:
            block = held[0] if held else np.empty(shards.shape, shards.dtype)
            deferred.do(put, file, block, not begun, True)

    _written(path, opener, write, shards.shape, shards.dtype.str)


def archive(path: str, arrays: Mapping[str, Shards | Any], compressed: bool, pickles: bool) -> None:
    """Write arrays to an `.npz` file under their names; what is not in parts is NumPy's, the same on all ranks."""
    import zipfile  # takes a while, and few programs need it

    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED

    def write(comm: Comm, file: Any, deferred: Deferred) -> None:
        for name, array in arrays.items():
            member = _Member(file, f"{name}.npy")
            if comm.rank == 0:
                deferred.do(member.open)
            if isinstance(array, Shards):
                about = {
                    "descr": npy.dtype_to_descr(array.dtype),
                    "fortran_order": False,
                    "shape": array.shape,
                }
                if comm.rank == 0:
                    deferred.do(
                        lambda about=about, member=member: npy.write_array_header_1_0(member.file, about)
                    )
                _streamed(comm, array, lambda block, member=member: deferred.do(member.put, block))  # type: ignore[misc]
            elif comm.rank == 0:
                deferred.do(
                    lambda array=array, member=member: npy.write_array(
                        member.file, np.asanyarray(array), allow_pickle=pickles
                    )
                )
            member.close(deferred)

    _written(path, lambda name: zipfile.ZipFile(name, "w", kind, allowZip64=True), write, *arrays)


class _Member:
    """A file inside an archive, as it is being written."""

    def __init__(self, archive: Any, name: str) -> None:
        self.archive, self.name = archive, name
        self.file: Any = None

    def open(self) -> None:
        """Begin."""
        self.file = self.archive.open(self.name, "w", force_zip64=True)

    def put(self, block: np.ndarray) -> None:
        """Some more elements."""
        self.file.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)

    def close(self, deferred: Deferred) -> None:
        """End it, whether or not it is complete: an archive cannot be closed before."""
        if self.file is None:
            return
        if deferred.error is None:
            deferred.do(self.file.close)
        else:
            with contextlib.suppress(OSError, ValueError):
                self.file.close()
