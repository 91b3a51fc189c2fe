"""NumPy's own format: `.npy` files written and read by parts, byte for byte what NumPy writes.

The header is read and written by NumPy; the elements follow it in C order (or in that of the transposed array).
"""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from legate_jit.files import contiguous
from legate_jit.files.shards import Shards, from_first, run, same
from legate_jit.ir import dtypes
from legate_jit.store import Store

__all__ = ["Header", "header", "mapped", "parsed", "read", "write"]


class Header(NamedTuple):
    """What a file says of its array: `at` is the byte where the elements begin."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    at: int

    @property
    def rows(self) -> tuple[int, ...]:
        """The extents in the order of the file."""
        return self.shape[::-1] if self.fortran else self.shape


def write(path: str, shards: Shards, fortran: bool = False) -> None:
    """Write an array; with `fortran`, the transposed of it (an array in Fortran order is the transposed of what is given
    here)."""
    shape = shards.shape[::-1] if fortran else shards.shape
    about = {"descr": npy.dtype_to_descr(shards.dtype), "fortran_order": fortran, "shape": shape}

    def begin(name: str) -> int:
        with open(name, "xb") as file:
            npy.write_array_header_1_0(file, about)
            return file.tell()

    contiguous.write(path, shards, begin, str(about))


def header(path: str, limit: int) -> Header | None:
    """The header of a file, the same on all ranks; None if it is one that NumPy shall read: another format, broken, or of
    elements that kernels do not compute with. `limit`: most characters of a header, as of `numpy.load`."""

    def found() -> Header | None:
        with open(path, "rb") as file:
            return parsed(file, limit, os.fstat(file.fileno()).st_size)

    def program(comm: Any) -> Header | None:
        same(comm, path)
        return from_first(comm, found)

    return run(program)


def parsed(file: Any, limit: int, nbytes: int) -> Header | None:
    """The header that an open file of so many bytes begins with, or None as of `header`."""
    if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
        return None
    file.seek(0)
    readers: dict[tuple[int, int], Any] = {
        (1, 0): npy.read_array_header_1_0,
        (2, 0): npy.read_array_header_2_0,
    }
    try:
        reader = readers.get(npy.read_magic(file))
        if reader is None:
            return None
        shape, fortran, dtype = reader(file, max_header_size=limit)
    except (ValueError, EOFError):
        return None
    at = file.tell()
    if min(shape, default=0) < 0 or not dtypes.is_supported(dtype):
        return None
    if at + math.prod(shape) * dtype.itemsize > nbytes:
        return None
    return Header(shape, dtypes.canonical(dtype), bool(fortran), at)


def read(path: str, of: Header) -> Store:
    """The elements, in the order of the file."""
    return contiguous.read(path, of.at, of.rows, of.dtype)


def mapped(path: str, of: Header) -> Store:
    """The elements, in the order of the file, where they are: read when they are looked at; the file is never written."""
    return contiguous.mapped(path, of.at, of.rows, of.dtype)
