"""Files by name: `save`, `load`, `savez`, `savetxt`, `loadtxt`, `fromfile`, `tofile`, each rank moving its own part of an
array.

Arguments are NumPy's; open files, pickles, strings and whatever else arrays of ours cannot hold are left to NumPy. Files of
arrays of ours appear under their name when they are complete. Knows arguments and arrays; how files are written is the
engine's.
"""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from cupynumeric._array import Ours, ndarray, wrap
from cupynumeric._convert import by_numpy, from_numpy_tree, host_view, to_numpy_tree
from legate_jit import runtime
from legate_jit.ir import dtypes


def _name(file: Any, suffix: str = "") -> str | None:
    """The name of a file to be written, or None for what is NumPy's: open files, devices, pipes, folders."""
    if not isinstance(file, (str, os.PathLike)):
        return None
    name = os.fspath(file)
    if not isinstance(name, str):
        return None
    if not name.endswith(suffix):
        name += suffix
    return None if os.path.exists(name) and not os.path.isfile(name) else name


def _room(name: str) -> ModuleType:
    """A room of `legate_jit.files`, which programs without files need not load."""
    return importlib.import_module(f"legate_jit.files.{name}")


def _by_numpy(
    function: Callable[..., None], file: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """NumPy writes the file. With several ranks the first alone does, if the file is given by name; an error is everybody's."""
    if runtime.world is None or not isinstance(file, (str, bytes, os.PathLike)):
        by_numpy(function, (file, *args), options)
        return
    given = to_numpy_tree((args, options))  # by all ranks: they may hold parts
    shards = _room("shards")

    def program(comm: Any) -> None:
        shards.from_first(comm, lambda: function(file, *given[0], **given[1]))

    shards.run_writing(program)


def _shards(array: ndarray) -> Any:
    return _room("shards").of_store(array._store, array._lens, lambda: host_view(array))


def save(file: Any, arr: Any, allow_pickle: Any = True, **options: Any) -> None:
    """Save an array to an `.npy` file; see `numpy.save`. With several ranks, all of them call it and each writes its part."""
    name = _name(file, ".npy")
    if name is None or options or not isinstance(arr, Ours):
        _by_numpy(np.save, file, (arr, allow_pickle), options)
        return
    fortran = bool(arr.flags.fnc)
    _room("npy").write(name, _shards(arr.T if fortran else arr), fortran)


def load(
    file: Any,
    mmap_mode: Any = None,
    allow_pickle: Any = False,
    *,
    max_header_size: int = 10000,
    **options: Any,
) -> Any:
    """An array from an `.npy` file, or a mapping of names to arrays from an `.npz`; see `numpy.load`.

    With several ranks each reads its part. `mmap_mode` 'r' and 'c': an array on the file's pages, which are read when they are
    looked at; 'r+' and 'w+' give NumPy's `memmap`.
    """
    name = _name(file)
    if name is not None and not options and mmap_mode in (None, "r", "c", "readonly", "copyonwrite"):
        found = _room("npy").header(name, max_header_size)
        if found is not None:
            store = _room("npy").read(name, found) if mmap_mode is None else _room("npy").mapped(name, found)
            array = wrap(store, None, mmap_mode in ("r", "readonly"))
            return array.T if found.fortran else array
    found = np.load(file, mmap_mode, allow_pickle, max_header_size=max_header_size, **options)
    if isinstance(found, np.lib.npyio.NpzFile):
        return Archive(found, name, max_header_size)
    return from_numpy_tree(found)


class Archive(np.lib.npyio.NpzFile):
    """What `load` gives for an `.npz` file: a mapping from names to arrays, which are read when they are asked for.

    With several ranks each reads its part of them.
    """

    def __init__(self, archive: Any, path: str | None, limit: int) -> None:
        self.__dict__.update(archive.__dict__)
        archive.__dict__.update(zip=None, fid=None, f=None)  # open files are this object's now
        self.f = type(self.f)(self)
        self._path, self._limit = path, limit

    def __getitem__(self, key: Any) -> Any:
        """An array, or the bytes of a file that is none. KeyError."""
        if self._path is not None and runtime.world is not None and self.zip is not None:
            names = self.zip.namelist()
            from legate_jit.files import archives  # takes a while, and few programs need it

            member = next((n for n in (key, f"{key}.npy") if n in names), None)
            found = None if member is None else archives.member(self._path, member, self._limit)
            if member is not None and found is not None:
                array = wrap(archives.read(self._path, member, *found))
                return array.T if found[0].fortran else array
        return from_numpy_tree(super().__getitem__(key))


def savez(file: Any, *args: Any, allow_pickle: bool = True, **kwds: Any) -> None:
    """Save arrays to one `.npz` file, uncompressed; see `numpy.savez`."""
    _archive(np.savez, file, args, allow_pickle, kwds, False)


def savez_compressed(file: Any, *args: Any, allow_pickle: bool = True, **kwds: Any) -> None:
    """Save arrays to one `.npz` file, compressed; see `numpy.savez_compressed`."""
    _archive(np.savez_compressed, file, args, allow_pickle, kwds, True)


def _archive(
    numpys: Callable[..., None],
    file: Any,
    args: tuple[Any, ...],
    pickles: bool,
    kwds: dict[str, Any],
    compressed: bool,
) -> None:
    name = _name(file, ".npz")
    given = {f"arr_{k}": x for k, x in enumerate(args)}
    if name is None or given.keys() & kwds or not any(isinstance(x, Ours) for x in (*args, *kwds.values())):
        _by_numpy(numpys, file, args, {"allow_pickle": pickles, **kwds})
        return
    arrays = {k: _shards(x) if isinstance(x, Ours) else x for k, x in (kwds | given).items()}
    _room("streams").archive(name, arrays, compressed, pickles)


#: the module that opens a file of text whose name ends so
_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}


def savetxt(
    fname: Any,
    X: Any,
    fmt: Any = "%.18e",
    delimiter: str = " ",
    newline: str = "\n",
    header: str = "",
    footer: str = "",
    comments: str = "# ",
    encoding: str | None = None,
) -> None:
    """Save an array of one or two axes as text; see `numpy.savetxt`. With several ranks the first writes what the others
    send."""
    name = _name(fname)
    options = {"fmt": fmt, "delimiter": delimiter, "newline": newline, "comments": comments}
    if name is None or not isinstance(X, Ours) or X.ndim not in (1, 2):
        more = {"header": header, "footer": footer, "encoding": encoding}
        _by_numpy(np.savetxt, fname, (X,), options | more)
        return

    def opener(path: str) -> Any:
        module = _COMPRESSED.get(os.path.splitext(path)[1], "io")
        return importlib.import_module(module).open(path, "wt", encoding=encoding)

    def put(file: Any, block: np.ndarray, first: bool, last: bool) -> None:
        np.savetxt(file, block, header=header if first else "", footer=footer if last else "", **options)

    _room("streams").text(name, _shards(X), opener, put)


def loadtxt(
    fname: Any,
    dtype: Any = float,
    comments: Any = "#",
    delimiter: Any = None,
    converters: Any = None,
    skiprows: int = 0,
    usecols: Any = None,
    unpack: bool = False,
    ndmin: int = 0,
    encoding: Any = None,
    max_rows: Any = None,
    **options: Any,
) -> Any:
    """An array from a file of text; see `numpy.loadtxt`. With several ranks each reads some of the lines."""
    how = {
        "comments": comments,
        "delimiter": delimiter,
        "converters": converters,
        "usecols": usecols,
        "encoding": encoding,
    }
    name = _name(fname)
    if name is not None and runtime.world is not None and not runtime.world.is_simulated:
        plain = (
            encoding in (None, "utf-8", "ascii", "latin1") and os.path.splitext(name)[1] not in _COMPRESSED
        )
        if plain and max_rows is None and not options and ndmin in (0, 1, 2) and skiprows >= 0:
            found = _table(name, skiprows, np.dtype(dtype), how)
            if found is not None:
                found = _with_axes(found, ndmin)
                return found.T if unpack else found
    more = {"skiprows": skiprows, "unpack": unpack, "ndmin": ndmin, "max_rows": max_rows}
    return by_numpy(np.loadtxt, (fname, dtype), how | more | options)


def _table(name: str, skip: int, dtype: np.dtype, how: dict[str, Any]) -> ndarray | None:
    """All rows of a file, of which each rank parses some; None if NumPy shall read it."""
    if not dtypes.is_supported(dtype):
        return None
    given = how["comments"]
    comments = [given] if isinstance(given, (str, bytes)) else list(given or ())
    marks = tuple(c if isinstance(c, bytes) else c.encode() for c in comments)

    def is_row(line: bytes) -> bool:
        text = line.strip() if how["delimiter"] is None else line.rstrip(b"\r\n")
        return bool(text) and not (marks and text.startswith(marks))

    def parse(lines: io.BytesIO) -> np.ndarray:
        if not any(map(is_row, lines)):
            return np.empty((0, 0), dtype)  # NumPy would warn
        lines.seek(0)
        return np.loadtxt(io.TextIOWrapper(lines, how["encoding"]), dtype, ndmin=2, **how)

    store = _room("text").read(name, skip, parse, dtypes.canonical(dtype))
    return None if store is None else wrap(store)


def _with_axes(table: ndarray, ndmin: int) -> ndarray:
    """The table without axes of extent 1, as far as `ndmin` axes are left."""
    if ndmin == 2 or 1 not in table.shape:
        return table
    squeezed: ndarray = table.reshape(tuple(n for n in table.shape if n != 1))
    if squeezed.ndim < ndmin:
        squeezed = squeezed.reshape(1)
    return squeezed


def tofile(array: ndarray, fid: Any, sep: str = "", format: str = "%s") -> None:
    """The elements as bytes in C order; see `numpy.ndarray.tofile`."""
    name = _name(fid)
    if name is None or sep:
        _by_numpy(lambda file, x: x.tofile(file, sep, format), fid, (array,), {})
        return
    _room("contiguous").write(name, _shards(array), _begin_raw)


def _begin_raw(path: str) -> int:
    """A new file whose elements begin at its beginning."""
    with open(path, "xb"):
        return 0


def fromfile(
    file: Any, dtype: Any = float, count: int = -1, sep: str = "", offset: int = 0, *, like: Any = None
) -> Any:
    """An array from the data in a file; see `numpy.fromfile`. With several ranks each reads its part."""
    name = _name(file)
    if name is None or sep or like is not None or not os.path.isfile(name):
        return from_numpy_tree(np.fromfile(file, dtype, count, sep, offset))
    element = np.dtype(dtype)
    if not dtypes.is_supported(element) or count < -1 or offset < 0:
        return from_numpy_tree(np.fromfile(file, dtype, count, sep, offset))
    there = _room("contiguous").elements(name, offset, element.itemsize)
    length = there if count < 0 else min(count, there)
    return wrap(_room("contiguous").read(name, offset, (length,), dtypes.canonical(element)))


__all__ = ["fromfile", "load", "loadtxt", "save", "savetxt", "savez", "savez_compressed", "tofile"]
