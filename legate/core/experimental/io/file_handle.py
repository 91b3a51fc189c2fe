"""Raw files of stores: the elements in C order, as they are in memory. With several ranks all of them call everything here."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal

from legate.core._files import new, path_of, raw_type, shards_of
from legate.core._interface import as_logical_store
from legate.core._store import LogicalStore
from legate.core.types import Type
from legate_jit.files import contiguous, shards

__all__ = ["FileHandle", "OpenFlag", "from_file", "to_file"]

OpenFlag = Literal["r", "rb", "r+", "rb+", "w", "wb", "w+", "wb+"]


def from_file(path: Any, array_type: Type) -> LogicalStore:
    """A store of one axis with all elements of a file. ValueError if the file is no whole number of elements."""
    name = path_of(path)
    nbytes = contiguous.elements(name, 0, 1)
    if nbytes % array_type.size:
        raise ValueError(
            f"{name} has {nbytes} bytes, which is no multiple of the {array_type.size} bytes of {array_type}"
        )
    engine, carried = raw_type(array_type, (nbytes // array_type.size,))
    return new(contiguous.read(name, 0, engine.shape, engine.dtype), carried)


def to_file(path: Any, array: Any) -> None:
    """Write the elements of a store to a file, which takes the place of `path` when it is complete."""
    contiguous.write(path_of(path), shards_of(as_logical_store(array)), _begin)


def _begin(path: str) -> int:
    with open(path, "xb"):
        return 0


class FileHandle:
    """A file that stores are read from and written to. Reads and writes are done when the call returns."""

    supported_open_flags: Final = frozenset({"r", "r+", "w", "w+"})

    def __init__(self, file: Path | str, flags: OpenFlag = "r") -> None:
        """Open a file: "r" for reading, "w" for writing what was emptied before, with "+" for both; a "b" says nothing.

        NotImplementedError for other flags; FileNotFoundError.
        """
        mode = flags.replace("b", "")
        if mode not in self.supported_open_flags:
            raise NotImplementedError(f"Unsupported flags: '{mode}'")
        self._path, self._mode, self._closed = path_of(file), mode, False

        def opened() -> None:
            with open(self._path, f"{mode}b"):
                pass

        begin = shards.run_writing if "w" in mode else shards.run
        begin(lambda comm: shards.from_first(comm, opened))

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return os.stat(self._path).st_size

    @property
    def closed(self) -> bool:
        """Whether the handle may no longer be used."""
        return self._closed

    def close(self) -> None:
        """Use the handle no longer."""
        self._closed = True

    def __enter__(self) -> FileHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, ty: Type) -> LogicalStore:
        """A store of one axis with all elements of the file. RuntimeError if closed, ValueError if opened for writing only."""
        self._check("read", "r" in self._mode or "+" in self._mode)
        return from_file(self._path, ty)

    def write(self, array: Any) -> None:
        """Write the elements of a store over the beginning of the file, in place. RuntimeError if closed, ValueError if
        opened for reading only."""
        self._check("write to", "w" in self._mode or "+" in self._mode)
        contiguous.overwrite(self._path, shards_of(as_logical_store(array)))

    def _check(self, what: str, allowed: bool) -> None:
        if self._closed:
            raise RuntimeError("file is closed")
        if not allowed:
            raise ValueError(f"Cannot {what} a file opened with flags={self._mode}")
