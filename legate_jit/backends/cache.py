"""The on-disk kernel cache: bytes by key, shared by any number of processes of one user.

Duty: keep compiled objects between runs without ever running something that another user could have written.
One file per entry, written under a temporary name and renamed into place, so readers see a whole entry or
none and no lock is needed. Every entry carries a checksum over its key and its payload; any defect is a miss,
reported once, and the next store replaces the file. A cache that cannot be used (no home, read-only, full,
foreign or group-writable folder) costs one warning and the program runs on without it.

It must not know what the bytes mean: not LLVM, not kernels, not keys' ingredients.
"""

import os
import stat
import struct
import sys
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["DEFAULT_BOUND", "CacheStats", "KernelCache", "cache_folder"]

DEFAULT_BOUND = 256 << 20
"""Bytes of entries above which a store now and then deletes the least recently used ones."""

_MAGIC = b"LJITOBJ\x01"
_HEADER = struct.Struct("<8sQ32s")  # magic with format version, payload bytes, SHA-256 of key and payload
_MAX_ENTRY = 64 << 20
_STALE_TEMPORARY = 3600.0  # seconds after which another writer's temporary file is surely orphaned
_TOUCH_AFTER = 86400.0  # seconds: refreshing a file's time at most daily keeps hits free of writes
_OPEN_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


class _CacheDefect(Exception):
    """A file that exists but must not be trusted; the text says why."""


@dataclass(slots=True)
class CacheStats:
    """Counters of one cache: entries found, not found, refused as damaged, written, and deleted by
    pruning."""

    hits: int = 0
    misses: int = 0
    defects: int = 0
    stores: int = 0
    pruned: int = 0


def cache_folder() -> str | None:
    """The folder the environment asks for, or None when caching is off or no home directory is known.

    LEGATE_JIT_CACHE_DIR wins ("" and "0" switch the cache off), then XDG_CACHE_HOME/legate-jit, then
    ~/.cache/legate-jit.
    """
    chosen = os.environ.get("LEGATE_JIT_CACHE_DIR")
    if chosen is not None:
        # Absolute, because the program may change its directory.
        return None if chosen in ("", "0") else os.path.abspath(chosen)
    if sys.platform == "win32":  # ownership and modes, on which safety rests, mean nothing there
        return None
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the XDG rule: relative values are ignored
        home = os.environ.get("HOME")
        if home is None:
            home = os.path.expanduser("~")  # asks the user database
        if not os.path.isabs(home):
            return None
        base = os.path.join(home, ".cache")
    return os.path.join(base, "legate-jit")


def _digest(key: str, payload: bytes) -> bytes:
    """SHA-256 over the key too, so that an entry renamed to another key is a defect and never a wrong
    kernel."""
    import hashlib  # loads OpenSSL: 5 ms that only programs that compile should pay

    hasher = hashlib.sha256(key.encode())
    hasher.update(b"\0")
    hasher.update(payload)
    return hasher.digest()


def _check_ours(status: os.stat_result, what: str) -> None:
    """Refuse what another user owns or may write; raises _CacheDefect."""
    if status.st_uid != os.geteuid():
        raise _CacheDefect(f"{what} belongs to user {status.st_uid}")
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise _CacheDefect(f"{what} is writable by others")


def _read_all(descriptor: int, count: int) -> bytes:
    """Read up to `count` bytes; shorter only when the file ends first."""
    parts: list[bytes] = []
    while count > 0 and (part := os.read(descriptor, count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes, over as many system calls as it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class KernelCache:
    """Entries of bytes under hexadecimal keys in one private folder; every method is safe against concurrent
    processes.

    `folder` None makes a cache that never hits and stores nothing. No method raises for a problem of the
    disk: the first problem of each kind warns (RuntimeWarning), and an unusable folder disables the cache for
    this process.
    """

    __slots__ = ("_bound", "_counter", "_readable", "_warned", "_writable", "folder", "stats")

    def __init__(self, folder: str | None, bound: int = DEFAULT_BOUND) -> None:
        self.folder = folder
        self.stats = CacheStats()
        self._bound = bound
        self._readable = self._writable = folder is not None
        self._warned: set[str] = set()
        self._counter = 0

    @property
    def enabled(self) -> bool:
        """Whether entries are still looked up."""
        return self._readable

    def load(self, key: str) -> bytes | None:
        """The payload stored under `key`, or None. A damaged or foreign entry counts as missing and warns
        once."""
        if not self._readable:
            return None
        try:
            payload = self._load(key)
        except FileNotFoundError:
            payload = None
        except _CacheDefect as defect:
            self.stats.defects += 1
            self._warn("entry", f"ignoring a kernel-cache entry: {defect}; it is compiled anew")
            payload = None
        except OSError as error:
            self._readable = False
            self._disable(f"cannot use the kernel cache in {self.folder}: {error}")
            payload = None
        if payload is None:
            self.stats.misses += 1
        else:
            self.stats.hits += 1
        return payload

    def store(self, key: str, payload: bytes) -> bool:
        """Write `payload` under `key`, replacing what was there; True if it is now on disk."""
        if not self._writable or len(payload) > _MAX_ENTRY:
            return False
        try:
            self._store(key, payload)
        except (OSError, _CacheDefect) as error:
            self._disable(f"cannot write the kernel cache in {self.folder}: {error}")
            return False
        self.stats.stores += 1
        # Keys are hashes, so this is one store in 256, with no state shared between processes.
        if key.startswith("00"):
            self.prune()
        return True

    def prune(self) -> None:
        """Delete orphaned temporaries and, if the entries exceed the bound, the least recently used down to
        three quarters of it."""
        if not self._writable:
            return
        try:
            entries = self._scan()
        except (OSError, _CacheDefect) as error:
            self._disable(f"cannot list the kernel cache in {self.folder}: {error}")
            return
        total = sum(size for _, size, _ in entries)
        if total <= self._bound:
            return
        for _, size, path in sorted(entries):
            if total <= self._bound - self._bound // 4:
                break
            with suppress(OSError):  # another process may prune the same file
                os.unlink(path)
                self.stats.pruned += 1
            total -= size

    def _load(self, key: str) -> bytes:
        folder = self._open_folder()
        try:
            descriptor = os.open(key, os.O_RDONLY | _OPEN_FLAGS, dir_fd=folder)
        except FileNotFoundError:
            raise
        except OSError as error:  # a link or an unreadable file: somebody meddled with this entry, the folder itself is fine
            raise _CacheDefect(f"{key} cannot be opened ({error.strerror})") from None
        finally:
            os.close(folder)
        try:
            return self._read_entry(descriptor, key)
        finally:
            os.close(descriptor)

    def _read_entry(self, descriptor: int, key: str) -> bytes:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _CacheDefect(f"{key} is not a regular file")
        _check_ours(status, key)
        payload_size = status.st_size - _HEADER.size
        if not 0 <= payload_size <= _MAX_ENTRY:
            raise _CacheDefect(f"{key} has an impossible size")
        data = _read_all(descriptor, status.st_size)
        if len(data) != status.st_size:
            raise _CacheDefect(f"{key} is truncated")
        magic, length, digest = _HEADER.unpack_from(data)
        payload = data[_HEADER.size :]
        if magic != _MAGIC or length != len(payload) or digest != _digest(key, payload):
            raise _CacheDefect(f"{key} is damaged")
        if time.time() - status.st_mtime > _TOUCH_AFTER:
            with suppress(OSError):  # only the order of pruning suffers
                os.utime(descriptor)
        return payload

    def _store(self, key: str, payload: bytes) -> None:
        folder = self._open_folder()
        self._counter += 1
        temporary = f".{key}.{os.getpid()}.{self._counter}.{os.urandom(4).hex()}.tmp"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN_FLAGS
            descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
            try:
                self._write_entry(descriptor, key, payload)
                os.replace(temporary, key, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
        finally:
            os.close(folder)

    @staticmethod
    def _write_entry(descriptor: int, key: str, payload: bytes) -> None:
        try:
            _write_all(descriptor, _HEADER.pack(_MAGIC, len(payload), _digest(key, payload)) + payload)
        finally:
            os.close(descriptor)

    def _open_folder(self) -> int:
        """A descriptor of the checked folder, made on first use; everything else goes through it, so a
        swapped path cannot fool us."""
        assert self.folder is not None
        flags = os.O_RDONLY | os.O_DIRECTORY | _OPEN_FLAGS
        try:
            descriptor = os.open(self.folder, flags)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self.folder), exist_ok=True)
            with suppress(FileExistsError):
                os.mkdir(self.folder, 0o700)
            descriptor = os.open(self.folder, flags)
        try:
            _check_ours(os.fstat(descriptor), self.folder)
        except _CacheDefect as defect:
            os.close(descriptor)
            raise PermissionError(str(defect)) from None
        return descriptor

    def _scan(self) -> list[tuple[float, int, str]]:
        """(last use, bytes, path) of every entry; orphaned temporaries are removed on the way."""
        assert self.folder is not None
        os.close(self._open_folder())
        now = time.time()
        entries: list[tuple[float, int, str]] = []
        with os.scandir(self.folder) as listing:
            for item in listing:
                with suppress(FileNotFoundError):
                    status = item.stat(follow_symlinks=False)
                    if not item.name.endswith(".tmp"):
                        entries.append((status.st_mtime, status.st_size, item.path))
                    elif now - status.st_mtime > _STALE_TEMPORARY:
                        os.unlink(item.path)
        return entries

    def _disable(self, reason: str) -> None:
        self._writable = False
        self._warn("unusable", f"{reason}; new kernels are not cached on disk")

    def _warn(self, kind: str, text: str) -> None:
        """One RuntimeWarning per kind and cache, however often it happens."""
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(text, RuntimeWarning, stacklevel=4)
