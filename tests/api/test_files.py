"""Files by name on one rank: NumPy's bytes, complete or not there at all; what is NumPy's own stays NumPy's."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from faults.child import environment, run

import cupynumeric as np
from legate_jit.backends import memory
from legate_jit.files import atomic, contiguous, npy

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]


def views() -> dict[str, Any]:
    x = np.arange(60.0).reshape(5, 12) - 7
    return {
        "whole": x, "transposed": x.T, "reversed": x[::-1], "strided": x[1:4, ::3], "column": x[:, 2], "row": x[3],
        "scalar": x[2, 3], "sum": x.sum(), "empty": x[:0], "cube": x.reshape(5, 3, 4).transpose(2, 0, 1),
        "fortran": x.reshape(5, 3, 4).T, "repeated": np.broadcast_to(x[:1], (3, 12)), "pending": x * 2 + 1,
        "flat of a view": x[:, ::2].reshape(-1), "real part": (x + 1j).imag, "other words": x.view(onp.int32),
    }  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.one_process
@pytest.mark.parametrize("name", views())
def test_npy_files_are_numpys_byte_for_byte(tmp_path: Path, name: str) -> None:
    x = views()[name]
    np.save(tmp_path / "ours", x)
    onp.save(tmp_path / "theirs", onp.asarray(x))
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()
    for mode in (None, "r", "c"):
        found, expected = np.load(str(tmp_path / "ours.npy"), mode), onp.load(tmp_path / "theirs.npy", mode)
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert (found.flags.f_contiguous, found.flags.c_contiguous, found.flags.writeable) == (
            expected.flags.f_contiguous, expected.flags.c_contiguous, expected.flags.writeable,
        )  # fmt: skip
        onp.testing.assert_array_equal(onp.asarray(found), expected)
    assert names(tmp_path) == ["ours.npy", "theirs.npy"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(tmp_path: Path, dtype: str) -> None:
    a = (onp.arange(35) % 3).astype(dtype).reshape(5, 7)
    x = np.array(a)
    np.save(tmp_path / "x.npy", x)
    x.tofile(tmp_path / "x")
    np.savez(tmp_path / "x.npz", x, name=x.T)
    for found in (
        onp.load(tmp_path / "x.npy"), onp.fromfile(tmp_path / "x", dtype).reshape(5, 7), onp.load(tmp_path / "x.npz")["arr_0"],
        onp.load(tmp_path / "x.npz")["name"].T, onp.asarray(np.load(tmp_path / "x.npy")),
        onp.asarray(np.fromfile(tmp_path / "x", dtype)).reshape(5, 7),
    ):  # fmt: skip
        assert found.dtype == a.dtype
        onp.testing.assert_array_equal(found, a)


def test_archives(tmp_path: Path) -> None:
    a = onp.arange(12.0).reshape(3, 4)
    onp.savez(tmp_path / "x.npz", a=a, b=a.T, words=onp.array(["a"]), objects=onp.array([{}], object))
    with np.load(tmp_path / "x.npz") as found:
        assert isinstance(found, onp.lib.npyio.NpzFile)
        assert sorted(found) == ["a", "b", "objects", "words"] and len(found) == 4 and "a" in found
        for name, expected in (("a", a), ("b", a.T), ("a.npy", a)):
            assert isinstance(found[name], np.ndarray)
            onp.testing.assert_array_equal(onp.asarray(found[name]), expected)
        assert found["words"][0] == "a"
        assert float(found.f.a[2, 3]) == 11.0
        with pytest.raises(KeyError, match="c is not a file in the archive"):
            found["c"]
        with pytest.raises(ValueError, match="allow_pickle"):
            found["objects"]
        assert found["a"] is not found["a"]
    assert found.zip is None
    gone = np.load(tmp_path / "x.npz")
    first = gone["a"]
    del gone
    onp.testing.assert_array_equal(onp.asarray(first), a)


def test_mapped_files_are_not_read_and_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = onp.arange(1000.0).reshape(50, 20)
    onp.save(tmp_path / "x.npy", a)
    monkeypatch.setattr(memory, "allocate", None)
    monkeypatch.setattr(os, "preadv", None)
    fixed, private = np.load(tmp_path / "x.npy", "r"), np.load(tmp_path / "x.npy", "c")
    monkeypatch.undo()
    private *= 2
    private[3] = 0.0
    expected = a * 2
    expected[3] = 0.0
    onp.testing.assert_array_equal(onp.asarray(private), expected)
    onp.testing.assert_array_equal(onp.asarray(fixed + 1), a + 1)
    with pytest.raises(ValueError, match="read-only"):
        fixed[0] = 1
    onp.testing.assert_array_equal(onp.load(tmp_path / "x.npy"), a)
    np.save(tmp_path / "x.npy", private)  # another file of that name: what was mapped stays
    onp.testing.assert_array_equal(onp.asarray(fixed), a)
    written = np.load(tmp_path / "x.npy", "r+")
    assert isinstance(written, onp.memmap)


@pytest.mark.one_rank  # an array in parts has no one memory to look at
def test_files_are_written_from_the_memory_of_the_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.arange(100_000.0) + 1
    float(x[0])
    sent: list[int] = []
    pwrite = os.pwrite

    def seen(file: int, data: Any, at: int) -> int:
        sent.append(onp.asarray(data).ctypes.data)
        return pwrite(file, data, at)

    monkeypatch.setattr(os, "pwrite", seen)
    monkeypatch.setattr(memory, "allocate", None)
    np.save(tmp_path / "x.npy", x)
    assert sent == [onp.asarray(x).ctypes.data]


def test_other_orders_are_written_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legate_jit.files.blocks._STAGED", 100)
    for name, x in views().items():
        np.save(tmp_path / "x.npy", x)
        onp.testing.assert_array_equal(onp.load(tmp_path / "x.npy"), onp.asarray(x), err_msg=name)


def test_short_writes_and_reads_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite, preadv = os.pwrite, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda f, b, at: pwrite(f, b[:100], at))
    monkeypatch.setattr(os, "preadv", lambda f, b, at: preadv(f, [b[0][:70]], at))
    x = np.arange(1000.0)
    np.save(tmp_path / "x.npy", x)
    onp.testing.assert_array_equal(onp.asarray(np.load(tmp_path / "x.npy")), onp.arange(1000.0))


@pytest.mark.one_process
def test_permissions_links_and_devices(tmp_path: Path) -> None:
    x = np.arange(5)
    before = os.umask(0o027)
    try:
        np.save(tmp_path / "new.npy", x)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.npy").stat().st_mode) == 0o640
    (tmp_path / "new.npy").chmod(0o604)
    np.save(tmp_path / "new.npy", x + 1)
    assert stat.S_IMODE((tmp_path / "new.npy").stat().st_mode) == 0o604
    (tmp_path / "link.npy").symlink_to("new.npy")
    np.save(tmp_path / "link.npy", x + 2)
    assert (tmp_path / "link.npy").is_symlink()
    assert onp.load(tmp_path / "new.npy")[0] == 2
    x.tofile("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    np.save(tmp_path / ("n" * 240), x)
    assert len(names(tmp_path)) == 3


@pytest.mark.one_process
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), MemoryError()])
def test_a_failure_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    x = np.arange(100.0)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    np.savetxt(tmp_path / "x.txt", x)
    x.tofile(tmp_path / "x.raw")
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}

    def failing(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(os, "pwrite", failing)
    monkeypatch.setattr(onp, "savetxt", failing)
    monkeypatch.setattr("legate_jit.files.streams._Member.put", failing)
    x += 1
    for write in (
        lambda path: np.save(path / "x.npy", x), lambda path: np.savez(path / "x.npz", x=x),
        lambda path: np.savetxt(path / "x.txt", x), lambda path: x.tofile(path / "x.raw"),
    ):  # fmt: skip
        (tmp_path / "new").mkdir()
        for folder in (tmp_path, tmp_path / "new"):
            with pytest.raises(type(error)):
                write(folder)
        (tmp_path / "new").rmdir()  # nothing is in it
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
    assert not atomic._begun


def test_a_failure_to_finish_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(100.0)
    np.save(tmp_path / "x.npy", x)
    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
            with pytest.raises(OSError, match="broken"):
                np.save(tmp_path / "x.npy", x + 1)
    assert names(tmp_path) == ["x.npy"]
    onp.testing.assert_array_equal(onp.load(tmp_path / "x.npy"), onp.arange(100.0))


@pytest.mark.one_process
def test_an_end_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    """An exit that no handler here sees, as of a signal's, and a child of the process that ends meanwhile."""
    program = f"""
        import atexit, os
        import cupynumeric as np
        from legate_jit.files import atomic
        x = np.arange(100.0)
        np.save({str(tmp_path / "x.npy")!r}, x)
        remove = atomic._remove
        def pwrite(*_):
            child = os.fork()
            if not child:
                atexit._run_exitfuncs()
                os._exit(0)
            os.waitpid(child, 0)
            print(len(os.listdir({str(tmp_path)!r})))
            atomic._remove = lambda name: None
            raise KeyboardInterrupt
        os.pwrite = pwrite
        try:
            np.save({str(tmp_path / "x.npy")!r}, x + 1)
        finally:
            atomic._remove = remove
    """
    done = run(program)
    assert done.returncode != 0 and done.stdout == "2\n", done.stderr
    assert names(tmp_path) == ["x.npy"]


@pytest.mark.one_process
def test_what_killed_programs_leave_is_removed_by_the_next(tmp_path: Path) -> None:
    """But not what is being written, even if it takes long, nor what is none of ours."""
    begin = f"""
        import os, signal, sys
        import cupynumeric as np
        def pwrite(*_):
            if sys.argv[1:]:
                print("writing", flush=True)
                sys.stdin.read()
            os.kill(os.getpid(), signal.SIGKILL)
        os.pwrite = pwrite
        np.save({str(tmp_path / "x.npy")!r}, np.arange(100.0))
    """
    run(begin)
    (left,) = names(tmp_path)
    command = [sys.executable, "-c", textwrap.dedent(begin), "slowly"]
    writing = subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert writing.stdout is not None and writing.stdout.readline() == b"writing\n"
        (busy,) = set(names(tmp_path)) - {left}
        (tmp_path / ".other").write_text("")
        save = f"import cupynumeric as np; np.save({str(tmp_path / 'y.npy')!r}, np.arange(3))"
        assert run(save).returncode == 0
        assert names(tmp_path) == sorted([left, busy, ".other", "y.npy"])  # too new to be sure
        for name in (left, busy, ".other"):
            os.utime(tmp_path / name, (0, 0))
        assert run(save).returncode == 0
        assert names(tmp_path) == sorted([busy, ".other", "y.npy"])
    finally:
        writing.kill()
        writing.communicate()


@pytest.mark.one_process
def test_errors_are_numpys(tmp_path: Path) -> None:
    x = np.arange(3)
    (tmp_path / "folder.npy").mkdir()
    for ours, theirs in (
        (lambda: np.load(tmp_path / "none.npy"), lambda: onp.load(tmp_path / "none.npy")),
        (lambda: np.load(tmp_path / "none.npy", "r"), lambda: onp.load(tmp_path / "none.npy", "r")),
        (lambda: np.load(tmp_path / "folder.npy"), lambda: onp.load(tmp_path / "folder.npy")),
        (lambda: np.save(tmp_path / "folder", x), lambda: onp.save(tmp_path / "folder", onp.arange(3))),
        (lambda: np.save(tmp_path / "no" / "x.npy", x), lambda: onp.save(tmp_path / "no" / "x.npy", onp.arange(3))),
        (lambda: np.savez(tmp_path / "x", x, arr_0=x), lambda: onp.savez(tmp_path / "x", x, arr_0=1)),
        (lambda: np.savetxt(tmp_path / "x", x, fmt="%d %d"), lambda: onp.savetxt(tmp_path / "x", onp.arange(3), fmt="%d %d")),
        (lambda: np.savetxt(tmp_path / "x", np.ones((2, 2, 2))), lambda: onp.savetxt(tmp_path / "x", onp.ones((2, 2, 2)))),
        (lambda: np.fromfile(tmp_path / "none"), lambda: onp.fromfile(tmp_path / "none")),
        (lambda: np.load(tmp_path / "none", "x"), lambda: onp.load(tmp_path / "none", "x")),
    ):  # fmt: skip
        with pytest.raises(Exception) as expected:
            theirs()
        with pytest.raises(expected.type) as raised:
            ours()
        assert str(raised.value) == str(expected.value)


@pytest.mark.one_process
def test_broken_files_are_numpys(tmp_path: Path) -> None:
    onp.save(tmp_path / "x.npy", onp.arange(100.0))
    good = (tmp_path / "x.npy").read_bytes()
    for text in (
        b"",
        b"words",
        good[:7],
        good[:60],
        good[:-1],
        good.replace(b"(100,)", b"(-10,)"),
        b"\x80\x04N.",
    ):
        (tmp_path / "x.npy").write_bytes(text)
        with pytest.raises(Exception) as expected:
            onp.load(tmp_path / "x.npy")
        with pytest.raises(expected.type) as raised:
            np.load(tmp_path / "x.npy")
        assert str(raised.value) == str(expected.value)
    with pytest.raises(ValueError, match="max_header_size"):
        (tmp_path / "x.npy").write_bytes(good)
        np.load(tmp_path / "x.npy", max_header_size=10)


@pytest.mark.one_process
def test_what_is_numpys_own(tmp_path: Path) -> None:
    """Open files, big-endian numbers, structures, objects, NumPy's arrays, unusual arguments."""
    x = np.arange(6.0)
    stream = io.BytesIO()
    np.save(stream, x)
    stream.seek(0)
    onp.testing.assert_array_equal(onp.asarray(np.load(stream)), onp.arange(6.0))
    with open(tmp_path / "two", "wb") as file:
        np.save(file, x)
        np.save(file, x + 1)
    with open(tmp_path / "two", "rb") as file:
        assert [float(np.load(file)[0]) for _ in range(2)] == [0.0, 1.0]
    for a in (onp.arange(3, dtype=">i4"), onp.zeros(3, [("a", "i4")]), onp.array(["a", "b"])):
        np.save(tmp_path / "a.npy", a)
        found = np.load(tmp_path / "a.npy")
        assert found.dtype == a.dtype
        assert (onp.asarray(found) == a).all()
    np.save(tmp_path / "o.npy", onp.array([{}, 1], object))
    assert np.load(tmp_path / "o.npy", allow_pickle=True)[1] == 1
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(tmp_path / "o.npy")
    x.tofile(tmp_path / "text", sep=",")
    assert (tmp_path / "text").read_text() == "0.0,1.0,2.0,3.0,4.0,5.0"
    onp.testing.assert_array_equal(onp.asarray(np.fromfile(tmp_path / "text", sep=",")), onp.arange(6.0))
    np.savez(stream := io.BytesIO(), x=x)
    stream.seek(0)
    assert list(np.load(stream).files) == ["x"]


@pytest.mark.one_process
def test_raw_files_from_the_middle(tmp_path: Path) -> None:
    onp.arange(100, dtype=onp.int16).tofile(tmp_path / "x")
    for dtype, count, offset in (
        ("i2", -1, 0),
        ("i2", 7, 10),
        ("i4", -1, 2),
        ("f4", 1000, 0),
        ("i2", 0, 0),
        ("u1", 5, 3),
    ):
        expected = onp.fromfile(tmp_path / "x", dtype, count, "", offset)
        found = onp.asarray(np.fromfile(tmp_path / "x", dtype, count, "", offset))
        assert found.dtype == expected.dtype
        onp.testing.assert_array_equal(found, expected)


@pytest.mark.one_process
@pytest.mark.parametrize(("suffix", "module"), [("", io), (".gz", gzip), (".bz2", bz2), (".xz", lzma)])
def test_text(tmp_path: Path, suffix: str, module: Any) -> None:
    for name, x in views().items():
        if x.ndim in (1, 2):
            options: dict[str, Any] = {
                "header": "a\nb",
                "footer": "c",
                "comments": "%",
                "delimiter": ";",
                "encoding": "utf-8",
            }
            np.savetxt(tmp_path / f"ours{suffix}", x, **options)
            onp.savetxt(tmp_path / f"theirs{suffix}", onp.asarray(x), **options)
            texts = [module.open(tmp_path / f"{n}{suffix}", "rt").read() for n in ("ours", "theirs")]
            assert texts[0] == texts[1], name


def test_the_header_says_where_the_elements_are(tmp_path: Path) -> None:
    onp.save(tmp_path / "x.npy", onp.asfortranarray(onp.ones((3, 4), onp.float32)))
    found = npy.header(str(tmp_path / "x.npy"), 10000)
    assert found is not None
    assert (found.shape, found.rows, found.fortran, found.dtype) == ((3, 4), (4, 3), True, onp.float32)
    assert contiguous.elements(str(tmp_path / "x.npy"), found.at, 4) == 12
