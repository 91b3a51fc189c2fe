"""Atomic: a file is written under another name beside its own, by all ranks, and renamed when all of it is on the disk.

Until then a file that was there stays as it is; whatever happens to the ranks before, nothing else is left under its name.
What was begun is removed when an error ends it, and by the guard when it ends the job. While it is written it is locked: what
is not, belongs to processes that were killed, and the next program that writes to the folder removes it. Knows no formats.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from legate_jit.files.shards import agreed, from_first, same
from legate_jit.process import world

if TYPE_CHECKING:
    from legate_jit.comm.base import Comm

__all__ = ["replace", "replace_folder", "replaced_here", "sweep"]

T = TypeVar("T")
#: how the names of files begin that are being written
_PREFIX = ".legate-jit-"
#: seconds in which a file that was made is locked for sure
_FRESH = 60.0
#: what this process would leave behind if it ended now, with the open file that holds the lock, on the rank that made it
_begun: dict[str, int | None] = {}
#: that process: forked children leave it alone
_process = os.getpid()
#: folders that this process has looked for leftovers in
_cleared: set[str] = set()


def replace(
    comm: Comm, path: str, begin: Callable[[str], T], write: Callable[[int, T], None], *what: object
) -> None:
    """Let all ranks write a file: rank 0 makes one with `begin(name)`, whose (picklable) result every rank gets as well; each
    writes its own with `write(open file, result)`; when all have, the file takes the place of `path`.

    what: more that must be the same on all ranks. Errors are raised on all ranks; then `path` is as before.
    """
    same(comm, path, *what)
    temporary, result = from_first(comm, lambda: _begin(path, begin))
    _begun.setdefault(temporary, None)
    opened: list[int] = []
    try:
        agreed(comm, lambda: opened.append(os.open(temporary, os.O_WRONLY)))
        agreed(comm, lambda: _written(opened[0], result, write))
        from_first(comm, lambda: _finish(temporary, path))
    except BaseException:
        _remove(temporary)
        raise
    finally:
        for file in opened:
            os.close(file)
    _forget(temporary)


def replace_folder(
    comm: Comm,
    path: str,
    begin: Callable[[str], None],
    write: Callable[[Comm, str], None],
    *what: object,
) -> None:
    """`replace` for a folder: rank 0 makes it with `begin(name)`, all ranks fill it with `write(comm, name)`."""
    same(comm, path, *what)
    temporary, _ = from_first(comm, lambda: _begin(path, begin, folder=True))
    _begun.setdefault(temporary, None)
    try:
        agreed(comm, lambda: write(comm, temporary))
        from_first(comm, lambda: _sync(temporary))
        from_first(comm, lambda: _finish(temporary, path))
    except BaseException:
        _remove(temporary)
        raise
    _forget(temporary)


@contextlib.contextmanager
def replaced_here(path: str) -> Iterator[str]:
    """The name of a file to be written by this process alone; it takes the place of `path` at the end."""
    temporary, _ = _begin(path, lambda name: None)
    try:
        yield temporary
        _sync(temporary)
        _finish(temporary, path)
    except BaseException:
        _remove(temporary)
        raise
    _forget(temporary)


def sweep() -> None:
    """Remove what was begun: the process is about to end."""
    for name in list(_begun) if os.getpid() == _process else ():
        _remove(name)


def _begin(path: str, begin: Callable[[str], T], folder: bool = False) -> tuple[str, T]:
    """A new file (or folder, if `begin` makes one) beside `path`, with the permissions it shall have, and what `begin`
    returned."""
    target = os.path.realpath(path)
    where, name = os.path.split(target)
    # formats go by the ending of a name, which may be as long as names can be
    temporary = os.path.join(where, f"{_PREFIX}{os.urandom(4).hex()}-{name[-100:]}")
    _begun[temporary] = None
    try:
        _clear(where)
        if os.path.isdir(target) and not folder:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        result = begin(temporary)
        if not os.path.lexists(temporary):
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        _begun[temporary] = _locked(temporary)
        with contextlib.suppress(FileNotFoundError):
            before = os.stat(target)
            if stat.S_ISREG(before.st_mode) and not os.path.isdir(temporary):
                os.chmod(temporary, stat.S_IMODE(before.st_mode))
    except BaseException as error:
        _remove(temporary)
        if isinstance(error, OSError) and error.filename == temporary:
            raise type(error)(error.errno, error.strerror, path) from None  # as if it had been opened
        raise
    return temporary, result


def _written(file: int, result: T, write: Callable[[int, T], None]) -> None:
    write(file, result)
    os.fsync(file)


def _finish(temporary: str, path: str) -> None:
    target = os.path.realpath(path)
    if os.path.isdir(temporary):
        _exchange_folders(temporary, target)
    else:
        os.replace(temporary, target)
    _sync_one(os.path.dirname(target))


def _sync(name: str) -> None:
    """Have a file or a folder, with its files, on the disk."""
    if os.path.isdir(name):
        for root, _, files in os.walk(name):
            for each in files:
                _sync_one(os.path.join(root, each))
            _sync_one(root)
    else:
        _sync_one(name)


def _sync_one(name: str) -> None:
    file = os.open(name, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _remove(name: str) -> None:
    with contextlib.suppress(OSError):
        _delete(name)
    _forget(name)


def _delete(name: str) -> None:
    if os.path.isdir(name):
        import shutil  # takes a while, and few programs need it

        shutil.rmtree(name)
    else:
        os.unlink(name)


def _forget(name: str) -> None:
    lock = _begun.pop(name, None)
    if lock is not None:
        os.close(lock)


def _locked(name: str) -> int | None:
    """The file or folder, opened and locked; None if somebody else has locked it, or nobody can."""
    try:
        file = os.open(name, os.O_RDONLY if os.path.isdir(name) else os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return file


def _clear(folder: str) -> None:
    """Remove what processes that were killed have left in the folder, once per process."""
    if folder in _cleared:
        return
    _cleared.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(_PREFIX) or time.time() - entry.stat().st_mtime < _FRESH:
                continue
            lock = _locked(entry.path)
            if lock is not None:
                _remove(entry.path)
                os.close(lock)


# ---- folders -----------------------------------------------------------------------------------------------------------

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def _exchange_folders(new: str, target: str) -> None:
    """`new` under the name of `target`, in one step where the system can; the old one is removed."""
    try:
        os.rename(new, target)  # there is none, or an empty one
    except OSError:
        if _swapped(new, target):
            _delete(new)
            return
        old = f"{new}-old"
        os.rename(target, old)
        os.rename(new, target)
        _delete(old)


def _swapped(one: str, other: str) -> bool:
    """Whether two names could be exchanged in one step."""
    call: Any = getattr(ctypes.CDLL(None), "renameat2", None)
    return call is not None and call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0


def _before_the_end() -> None:
    atexit.register(sweep)  # of what an interruption left in the middle of removing it
    if world.guarded:
        from legate_jit.job import guard

        guard.last_acts.append(sweep)


_before_the_end()
