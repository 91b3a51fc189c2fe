"""Whole programs with a kernel cache that is damaged, unusable, dangerous or shared: right results, at most one warning."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from faults.child import command, environment, run, succeeds

_PROGRAM = """
    import numpy
    import cupynumeric as np
    from legate_jit.running import tiers
    from legate_jit.backends import native
    tiers.policy.interpret_runs = 0
    x = np.arange(1000.0)
    assert numpy.array_equal(numpy.asarray(x * 3 + 1), numpy.arange(1000.0) * 3 + 1)
    assert float(np.where(x > 10, x, -x).sum()) == float(numpy.arange(1000.0).sum()) - 2 * 55
    print(native.stats.compiles, native.stats.cache_hits)
"""


def _counts(output: str) -> tuple[int, int]:
    compiles, hits = map(int, output.split())
    return compiles, hits


def _warns_once(program: str, text: str, **changes: str | None) -> tuple[int, int]:
    done = run(program, **changes)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("RuntimeWarning") == 1 and text in done.stderr, done.stderr
    return _counts(done.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache filled by one run."""
    made = tmp_path / "cache"
    compiles, hits = _counts(succeeds(_PROGRAM, LEGATE_JIT_CACHE_DIR=str(made)))
    assert compiles > 1 and hits == 0
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    return made


def test_second_process_compiles_nothing(folder: Path) -> None:
    assert _counts(succeeds(_PROGRAM, LEGATE_JIT_CACHE_DIR=str(folder)))[0] == 0


@pytest.mark.parametrize("damage", ["flipped", "truncated", "swapped"])
def test_damaged_entries(folder: Path, damage: str) -> None:
    entries = sorted(folder.iterdir())
    contents = [e.read_bytes() for e in entries]
    for k, entry in enumerate(entries):
        old = contents[k]
        middle = len(old) // 2
        entry.write_bytes(
            {
                "flipped": old[:middle] + bytes([old[middle] ^ 1]) + old[middle + 1 :],
                "truncated": old[:middle],
                "swapped": contents[k - 1],
            }[damage]
        )
    compiles, hits = _warns_once(_PROGRAM, "compiled anew", LEGATE_JIT_CACHE_DIR=str(folder))
    assert compiles == len(entries) and hits == 0
    assert _counts(succeeds(_PROGRAM, LEGATE_JIT_CACHE_DIR=str(folder)))[0] == 0  # written again


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_folder_that_others_can_write_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    compiles, hits = _warns_once(_PROGRAM, "writable by others", LEGATE_JIT_CACHE_DIR=str(folder))
    assert compiles > 1 and hits == 0


def test_entry_that_others_can_write_is_refused(folder: Path) -> None:
    for entry in folder.iterdir():
        entry.chmod(0o666)
    assert _warns_once(_PROGRAM, "writable by others", LEGATE_JIT_CACHE_DIR=str(folder))[1] == 0


def test_entry_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    for entry in folder.iterdir():
        entry.rename(tmp_path / entry.name)
        entry.symlink_to(tmp_path / entry.name)
    assert _warns_once(_PROGRAM, "cannot be opened", LEGATE_JIT_CACHE_DIR=str(folder))[1] == 0


@pytest.mark.parametrize("place", ["/proc/self/none/cache", "/dev/null"])
def test_place_where_no_folder_can_be(place: str) -> None:
    """A read-only or impossible place, also for the superuser, whom modes do not stop."""
    assert _warns_once(_PROGRAM, "kernel cache", LEGATE_JIT_CACHE_DIR=place)[0] > 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="modes do not stop the superuser")
def test_read_only_folder(tmp_path: Path) -> None:
    made = tmp_path / "cache"
    made.mkdir(mode=0o500)
    assert _warns_once(_PROGRAM, "kernel cache", LEGATE_JIT_CACHE_DIR=str(made))[0] > 1


def test_no_home(tmp_path: Path) -> None:
    """Without HOME the user database is asked; without an entry there, nothing is cached and nothing said."""
    unknown = """
    import os
    os.path.expanduser = lambda path: path
    """
    assert (
        _counts(succeeds(unknown + _PROGRAM, HOME=None, XDG_CACHE_HOME=None, LEGATE_JIT_CACHE_DIR=None))[0]
        > 1
    )
    assert _counts(succeeds(_PROGRAM, LEGATE_JIT_CACHE_DIR=""))[0] > 1
    succeeds(_PROGRAM, HOME=str(tmp_path), XDG_CACHE_HOME=None, LEGATE_JIT_CACHE_DIR=None)
    assert list((tmp_path / ".cache" / "legate-jit").iterdir())


@pytest.mark.parametrize("error", ["ENOSPC"])
def test_full_disk(tmp_path: Path, error: str) -> None:
    full = f"""
    import errno, os
    write = os.write
    def refuse(descriptor, data):
        if descriptor > 2 and len(data) > 100:
            raise OSError(errno.{error}, os.strerror(errno.{error}))
        return write(descriptor, data)
    os.write = refuse
    """
    made = tmp_path / "cache"
    assert _warns_once(full + _PROGRAM, "cannot write", LEGATE_JIT_CACHE_DIR=str(made))[0] > 1
    assert list(made.iterdir()) == []


def test_processes_compile_the_same_kernels_at_once(tmp_path: Path) -> None:
    made = tmp_path / "cache"
    processes = [
        subprocess.Popen(
            command(_PROGRAM),
            env=environment(LEGATE_JIT_CACHE_DIR=str(made)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert not [e for e in made.iterdir() if e.name.endswith(".tmp")]
    assert _counts(succeeds(_PROGRAM, LEGATE_JIT_CACHE_DIR=str(made)))[0] == 0
