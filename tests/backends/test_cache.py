"""The kernel cache keeps its promises about defects, foreign files and concurrent writers."""

import errno
import os
import stat
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from legate_jit.backends import cache as cache_module
from legate_jit.backends.cache import KernelCache, cache_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the cache is off on Windows")

KEY = "a1" + "0" * 62
OTHER = "b2" + "0" * 62


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def make(folder: Path, **options: int) -> KernelCache:
    return KernelCache(str(folder), **options)


def test_round_trip(folder: Path, silent: None) -> None:
    first = make(folder)
    assert first.load(KEY) is None
    assert first.store(KEY, b"payload")
    assert first.load(KEY) == b"payload"
    assert make(folder).load(KEY) == b"payload"
    assert (first.stats.hits, first.stats.misses, first.stats.stores) == (1, 1, 1)


def test_empty_payload(folder: Path, silent: None) -> None:
    make(folder).store(KEY, b"")
    assert make(folder).load(KEY) == b""


def test_folder_and_entries_are_private(folder: Path) -> None:
    previous = os.umask(0)
    try:
        make(folder).store(KEY, b"x")
    finally:
        os.umask(previous)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / KEY).stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == [KEY]


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "empty", "header", "renamed", "link", "version"])
def test_damage_is_a_miss_one_warning_and_a_rewrite(folder: Path, damage: str) -> None:
    make(folder).store(KEY, b"payload" * 100)
    path = folder / KEY
    data = bytearray(path.read_bytes())
    match damage:
        case "flip":
            data[-1] ^= 1
        case "cut":
            del data[-10:]
        case "grow":
            data += b"more"
        case "empty":
            data.clear()
        case "header":
            del data[20:]
        case "version":
            data[7] ^= 1
        case _:
            pass
    path.write_bytes(data)
    if damage == "renamed":
        make(folder).store(OTHER, b"another kernel")
        os.replace(folder / OTHER, path)
    if damage == "link":
        os.replace(path, folder / OTHER)
        path.symlink_to(folder / OTHER)
    cache = make(folder)
    with pytest.warns(RuntimeWarning, match="compiled anew") as caught:
        assert cache.load(KEY) is None
        assert cache.load(KEY) is None
    assert len(caught) == 1
    assert cache.stats.defects == 2
    assert cache.store(KEY, b"new")
    assert cache.load(KEY) == b"new"


def test_a_file_others_can_write_is_refused(folder: Path) -> None:
    make(folder).store(KEY, b"x")
    (folder / KEY).chmod(0o620)
    with pytest.warns(RuntimeWarning, match="writable by others"):
        assert make(folder).load(KEY) is None


def test_a_folder_others_can_write_is_refused(folder: Path) -> None:
    make(folder).store(KEY, b"x")
    folder.chmod(0o770)
    cache = make(folder)
    with pytest.warns(RuntimeWarning, match="writable by others") as caught:
        assert cache.load(KEY) is None
        assert not cache.store(OTHER, b"y")
    assert len(caught) == 1
    assert not cache.enabled
    assert not (folder / OTHER).exists()


def test_a_linked_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    make(folder).store(KEY, b"x")
    (tmp_path / "link").symlink_to(folder)
    with pytest.warns(RuntimeWarning, match="cannot use"):
        assert make(tmp_path / "link").load(KEY) is None


def test_another_users_files_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(folder).store(KEY, b"x")
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.warns(RuntimeWarning, match="belongs to user"):
        assert make(folder).load(KEY) is None


@pytest.mark.skipif("os.geteuid() != 0", reason="only root can give files away")
def test_another_users_file_in_our_folder_is_refused(folder: Path) -> None:
    make(folder).store(KEY, b"x")
    os.chown(folder / KEY, 12345, -1)
    with pytest.warns(RuntimeWarning, match="belongs to user 12345"):
        assert make(folder).load(KEY) is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_costs_one_warning(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    cache = make(folder)
    cache.store(KEY, b"x")

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(cache_module, "_write_all", full)
    with pytest.warns(RuntimeWarning, match="cannot write") as caught:
        assert not cache.store(OTHER, b"y")
        assert not cache.store(OTHER, b"y")
    assert len(caught) == 1
    assert sorted(path.name for path in folder.iterdir()) == [KEY]  # no temporary left
    assert cache.load(KEY) == b"x"  # what is there is still used


@pytest.mark.skipif("os.geteuid() == 0", reason="root may write everywhere")
def test_a_read_only_folder_is_still_read(folder: Path) -> None:
    make(folder).store(KEY, b"x")
    folder.chmod(0o500)
    cache = make(folder)
    with pytest.warns(RuntimeWarning, match="cannot write"):
        assert not cache.store(OTHER, b"y")
    assert cache.load(KEY) == b"x"
    folder.chmod(0o700)


def test_a_read_only_place_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", refuse)
    cache = make(tmp_path / "none")
    with pytest.warns(RuntimeWarning, match="Read-only") as caught:
        assert cache.load(KEY) is None
        assert not cache.store(KEY, b"x")
    assert len(caught) == 1


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    with pytest.warns(RuntimeWarning):
        assert make(tmp_path / "cache").load(KEY) is None


def test_a_folder_removed_meanwhile_is_made_again(folder: Path, silent: None) -> None:
    cache = make(folder)
    cache.store(KEY, b"x")
    (folder / KEY).unlink()
    folder.rmdir()
    assert cache.load(KEY) is None
    assert cache.store(KEY, b"x")


def test_off_means_off(silent: None) -> None:
    cache = KernelCache(None)
    assert not cache.enabled
    assert not cache.store(KEY, b"x")
    assert cache.load(KEY) is None


def test_where_the_folder_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LEGATE_JIT_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == "/x/legate-jit"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/h")
    assert cache_folder() == "/h/.cache/legate-jit"
    monkeypatch.setenv("HOME", "")
    assert cache_folder() is None
    monkeypatch.setenv("LEGATE_JIT_CACHE_DIR", "somewhere")
    monkeypatch.chdir(tmp_path)
    assert cache_folder() == str(tmp_path / "somewhere")
    for off in ("", "0"):
        monkeypatch.setenv("LEGATE_JIT_CACHE_DIR", off)
        assert cache_folder() is None


def test_pruning_removes_the_least_recently_used(folder: Path, silent: None) -> None:
    cache = make(folder, bound=10_000)
    keys = [f"{k:02x}" * 32 for k in range(1, 21)]
    for age, key in enumerate(keys):
        cache.store(key, bytes(952))  # 1000 with the header
        os.utime(folder / key, (1e9 + age, 1e9 + age))
    orphan = folder / ".orphan.tmp"
    orphan.write_bytes(b"x")
    os.utime(orphan, (1e9, 1e9))
    (folder / ".young.tmp").write_bytes(b"x")
    cache.prune()
    assert sorted(path.name for path in folder.iterdir()) == [".young.tmp", *keys[-7:]]
    assert cache.stats.pruned == 13


def test_a_hit_makes_an_entry_recent(folder: Path) -> None:
    cache = make(folder)
    cache.store(KEY, b"x")
    os.utime(folder / KEY, (1e9, 1e9))
    cache.load(KEY)
    assert time.time() - (folder / KEY).stat().st_mtime < 100


WRITER = """
import sys, warnings
warnings.simplefilter("error")
from legate_jit.backends.cache import KernelCache
cache = KernelCache(sys.argv[1])
seen = set()
for turn in range(400):
    cache.store("c" * 64, bytes([int(sys.argv[2])]) * 50_000)
    payload = cache.load("c" * 64)
    assert payload is not None and len(payload) == 50_000 and len(set(payload)) == 1, turn
    seen.add(payload[0])
    if turn == 0:
        print("started", flush=True)
print(sorted(seen))
"""


def test_two_processes_share_a_folder(folder: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), str(k)], stdout=subprocess.PIPE, text=True
        )
        for k in (1, 2)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [path.name for path in folder.iterdir()] == ["c" * 64]
