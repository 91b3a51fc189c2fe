"""Archives: the arrays inside an `.npz` file, read by parts.

What is stored as it is lies in the file like an `.npy` file, from some byte on. What is compressed is unpacked by every rank
from the beginning, of which it keeps its part. Checksums are not looked at, because no rank reads everything.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from legate_jit.files import contiguous, npy
from legate_jit.files.npy import Header
from legate_jit.files.shards import BLOCK, from_first, make, pieces, run, same, typed, within
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.layout import Box
from legate_jit.store import Store

if TYPE_CHECKING:
    from legate_jit.comm.base import Comm

__all__ = ["member", "read"]

#: bytes of what stands before a file in an archive, and where the lengths of its name and of more are there
_FIXED, _LENGTHS = 30, 26


def member(path: str, name: str, limit: int) -> tuple[Header, bool] | None:
    """The header of an array in an archive, the same on all ranks, and whether it is stored as it is; None if NumPy shall
    read it."""

    def found() -> tuple[Header, bool] | None:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(name)
            with archive.open(info) as file:
                header = npy.parsed(file, limit, info.file_size)
            if header is None or info.compress_type != zipfile.ZIP_STORED:
                return None if header is None else (header, False)
        with open(path, "rb") as raw:
            raw.seek(info.header_offset + _LENGTHS)
            lengths = np.frombuffer(raw.read(4), "<u2")
        start = info.header_offset + _FIXED + int(lengths.sum())
        return header._replace(at=start + header.at), True

    def program(comm: Comm) -> tuple[Header, bool] | None:
        same(comm, path, name)
        return from_first(comm, found)

    return run(program)


def read(path: str, name: str, of: Header, stored: bool) -> Store:
    """The elements of an array in an archive, in the order of the file."""
    if stored:
        return contiguous.read(path, of.at, of.rows, of.dtype)
    whole = tuple((0, n) for n in of.rows)

    def fill(box: Box, memory: np.ndarray) -> None:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            file.read(of.at)
            for piece in pieces(whole, of.dtype.itemsize) if of.rows else [whole]:
                block = np.frombuffer(_exactly(file, layout.size(piece) * of.dtype.itemsize), of.dtype)
                mine = layout.intersection(piece, box)
                if layout.size(mine):
                    memory[within(mine, box)] = block.reshape(layout.extents(piece))[within(mine, piece)]

    return make(typed(of.rows, of.dtype), fill)


def _exactly(file: Any, nbytes: int) -> bytes:
    """So many bytes of a file. EOFError if it ends before."""
    text = b""
    while len(text) < nbytes:
        more = file.read(min(nbytes - len(text), BLOCK))
        if not more:
            raise EOFError("the file ends before the array does")
        text = text + more if text else more
    return text
