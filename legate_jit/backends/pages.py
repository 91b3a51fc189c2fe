"""Address space from the operating system, and how much of it this machine can back.

Duty: map, unmap and discard anonymous private memory, and refuse requests that the machine, the control group
or a configured limit cannot hold, before the kernel's out-of-memory killer does. It must not know blocks,
size classes or arrays.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import sys
from collections.abc import Iterator
from contextlib import suppress

__all__ = [
    "HUGE_PAGE",
    "PageStats",
    "describe",
    "discard",
    "machine_bytes",
    "map_pages",
    "set_limit",
    "stats",
    "unmap_pages",
]

HUGE_PAGE = 2 << 20

#: from this size on, asking the kernel what is free costs nothing beside touching the pages
_CHECK_AVAILABLE = 64 << 20
_ADVISE_HUGE: int | None = getattr(mmap, "MADV_HUGEPAGE", None)
_ADVISE_DISCARD: int | None = getattr(mmap, "MADV_DONTNEED", None)


class PageStats:
    """Mappings made since the beginning, and bytes mapped now."""

    __slots__ = ("mapped", "maps")

    def __init__(self) -> None:
        self.maps = 0
        self.mapped = 0


stats = PageStats()
#: by aligned address: the mapping, and the offset of the address in it
_mappings: dict[int, tuple[mmap.mmap, int]] = {}
_limit: list[int] = []  # the configured limit, if any


def set_limit(nbytes: int | None) -> None:
    """Refuse to map more than `nbytes` bytes at a time in total; None for what the machine has."""
    _limit[:] = [] if nbytes is None else [nbytes]


def map_pages(nbytes: int, *, huge: bool = False) -> int:
    """The address of `nbytes` new bytes, zero and untouched; a multiple of HUGE_PAGE, and advised to use huge
    pages, if `huge`.

    MemoryError, with the reason, if the system or the limit refuses.
    """
    _check_capacity(nbytes)
    alignment = HUGE_PAGE if huge else mmap.PAGESIZE
    try:
        mapping = _map(nbytes + alignment)
    except (OSError, ValueError, OverflowError) as error:
        raise MemoryError(f"the system refuses ({error})") from None
    if huge and _ADVISE_HUGE is not None:
        with suppress(OSError):  # a kernel without huge pages refuses; ordinary ones do
            mapping.madvise(_ADVISE_HUGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    address = -(-start // alignment) * alignment
    # Arrays, and kernels on other threads, may outlive this module when the interpreter ends.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(mapping))
    _mappings[address] = (mapping, address - start)
    stats.maps += 1
    stats.mapped += len(mapping)
    return address


def unmap_pages(address: int) -> None:
    """Give a mapping back to the system."""
    mapping, _ = _mappings.pop(address)
    stats.mapped -= len(mapping)
    mapping.close()
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(mapping))


def discard(mapping_address: int, offset: int, nbytes: int) -> None:
    """Give the pages of a part of a mapping back; the addresses stay valid and read as zero. Page-aligned
    offset and size."""
    mapping, skipped = _mappings[mapping_address]
    if _ADVISE_DISCARD is not None:
        mapping.madvise(_ADVISE_DISCARD, skipped + offset, nbytes)


def describe(nbytes: int) -> str:
    """A size for a message: exact, and readable."""
    for unit, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")):
        if nbytes >= unit:
            return f"{nbytes} bytes ({nbytes / unit:.3g} {name})"
    return f"{nbytes} bytes"


def _map(nbytes: int) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(-1, nbytes)
    # Private, because the module's default would share the arrays with forked children.
    return mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _check_capacity(nbytes: int) -> None:
    """MemoryError if memory that size cannot be backed next to what is mapped already."""
    limit = _limit[0] if _limit else machine_bytes()
    if stats.mapped + nbytes > limit:
        what = "the configured limit" if _limit else "this machine's memory"
        raise MemoryError(f"{describe(stats.mapped)} are in use and {what} is {describe(limit)}")
    if nbytes >= _CHECK_AVAILABLE:
        available = _available_bytes()
        if available is not None and nbytes > available:
            raise MemoryError(f"only {describe(available)} are available")


@functools.cache
def machine_bytes() -> int:
    """Main memory and swap of this machine, or the control group's limit if that is less."""
    information = _memory_information()
    if "MemTotal" in information:
        total = information["MemTotal"] + information.get("SwapTotal", 0)
    elif sys.platform == "win32":
        total = sys.maxsize
    else:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([total, *_group_limits()])


def _available_bytes() -> int | None:
    """What could be touched now without anybody being killed, as the kernel estimates; None where it does not
    tell."""
    information = _memory_information()
    if "MemAvailable" not in information:
        return None
    return information["MemAvailable"] + information.get("SwapFree", 0)


def _memory_information() -> dict[str, int]:
    """Linux's memory table in bytes; empty elsewhere."""
    table: dict[str, int] = {}
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                name, _, rest = line.partition(":")
                words = rest.split()
                if len(words) == 2:  # "<number> kB"
                    table[name] = int(words[0]) << 10
    except (OSError, ValueError):
        return {}
    return table


def _group_limits() -> Iterator[int]:
    """Memory limits of the control groups this process is in, of both versions of the interface."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as lines:
            memberships = [line.rstrip("\n").split(":", 2) for line in lines]
    except OSError:
        return
    for fields in memberships:
        if len(fields) != 3:
            continue
        _, controllers, path = fields
        if not controllers:
            yield from _limits_upwards("/sys/fs/cgroup", path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits_upwards("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes")


def _limits_upwards(root: str, path: str, name: str) -> Iterator[int]:
    """The limit files of a group and its ancestors; in a container the path may be the host's and only the
    root visible."""
    parts = [part for part in path.split("/") if part and part != ".."]
    for depth in range(len(parts), -1, -1):
        with (
            suppress(OSError, ValueError),
            open("/".join([root, *parts[:depth], name]), encoding="ascii") as text,
        ):
            yield int(text.read())  # "max" means none
