"""Files of arrays that are dealt out over ranks: each rank reads and writes its part, all fail together, nobody has it all."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as onp
import pytest
import zarr as theirs
from ranks.launch import ROOT, job, succeeds

import cupynumeric as np
import legate
from legate.core import LogicalStore
from legate.core import types as ty
from legate.core.experimental.io import zarr
from legate.core.experimental.io.file_handle import FileHandle
from legate.core.experimental.io.tile import from_tiles, to_tiles
from legate.io import hdf5
from legate_jit import runtime
from legate_jit.backends import memory
from legate_jit.comm.base import Comm
from legate_jit.files import blocks, contiguous, shards, streams, zarrs
from legate_jit.ir.ranks import layout
from legate_jit.ranks import windows as world
from legate_jit.simulation.machine import Machine
from legate_jit.simulation.world import SimulatedWorld

SIZES = [2, 3, 4, 7]


@pytest.fixture(params=SIZES)
def size(
    request: pytest.FixtureRequest, dealt: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> int:
    """A world of so many virtual ranks, among which even tiny arrays are dealt out, and tiny blocks."""
    monkeypatch.setattr(shards, "BLOCK", 600)
    monkeypatch.setattr(blocks, "_STAGED", 100)
    dealt(request.param)
    return int(request.param)


def arrays() -> dict[str, Any]:
    x = np.arange(61 * 13, dtype=onp.float64).reshape(61, 13) * 2 + 1
    columns = np.ones((18, 40)) + np.arange(40.0)
    columns[:, :20] = columns[:, 20:] @ np.ones((20, 20))
    return {
        "rows": x, "transposed": x.T, "strided": x[3:50:2, ::-1], "columns": columns, "flat": x.ravel()[5:],
        "cube": x[:60].reshape(3, 20, 13).transpose(1, 2, 0), "few": x[:2], "one": x[:1, :1], "scalar": x.sum(),
        "empty": x[:0], "bool": x > 100, "half": x.astype(onp.float16), "complex": (x + 1j * x).astype(onp.complex64),
        "bytes": x.astype(onp.uint8), "long": np.arange(1, 3001, dtype=onp.int64),
    }  # fmt: skip


def is_dealt(array: Any) -> bool:
    legate.fence()
    return isinstance(array._store.buffer, world.Dealt)


def cut_by_columns(a: Any) -> Any:
    """An array of which each rank has some columns."""
    how = layout.tiled(a.shape, 1, runtime.world.size)
    parts = {
        k: memory.Buffer.wrap(onp.ascontiguousarray(a[shards.within(how.box(k))])) for k in runtime.world.own
    }
    type_ = shards.typed(a.shape, a.dtype)
    return np.asarray(LogicalStore._wrap(runtime.buffer_store(runtime.world.dealt(type_, how, parts), type_)))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", arrays())
def test_npy_files_are_numpys_byte_for_byte(size: int, tmp_path: Path, name: str) -> None:
    x = arrays()[name]
    np.save(tmp_path / "ours", x)
    loaded, mapped = np.load(tmp_path / "ours.npy"), np.load(tmp_path / "ours.npy", mmap_mode="r")
    expected = onp.asarray(x)
    onp.save(tmp_path / "theirs", expected)
    if name != "cube":  # in no order: NumPy asks the strides
        assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()
    for found in (loaded, mapped, onp.load(tmp_path / "ours.npy")):
        onp.testing.assert_array_equal(onp.asarray(found), expected)
        assert found.dtype == expected.dtype
    onp.testing.assert_array_equal(
        onp.asarray(loaded[::-1]), expected[::-1] if expected.ndim else expected
    ) if x.ndim else None
    assert names(tmp_path) == ["ours.npy", "theirs.npy"]


def test_what_is_read_is_dealt_evenly(size: int, tmp_path: Path) -> None:
    onp.save(tmp_path / "x.npy", onp.arange(300.0).reshape(60, 5))
    for mode in (None, "c"):
        x = np.load(tmp_path / "x.npy", mode)
        assert is_dealt(x)
        assert x._store.buffer.layout == layout.tiled((60, 5), 0, size)
        legate.fence()
        runtime._plans.clear()
        y = x + 1
        x += 1  # of private pages
        legate.fence()
        assert all(p.traffic == 0 for p in runtime._plans.values() if isinstance(p, world.RanksPlan))
        onp.testing.assert_array_equal(onp.asarray(y), onp.arange(300.0).reshape(60, 5) + 1)
        onp.testing.assert_array_equal(onp.asarray(x), onp.asarray(y))
    onp.testing.assert_array_equal(onp.load(tmp_path / "x.npy"), onp.arange(300.0).reshape(60, 5))


@pytest.mark.parametrize("name", arrays())
def test_hdf5(size: int, tmp_path: Path, name: str) -> None:
    x = arrays()[name]
    path = tmp_path / "new" / "x.h5"
    hdf5.to_file(x, path, "/group/data")
    expected = onp.asarray(x)
    with h5py.File(path) as file:
        assert file["group/data"].dtype == expected.dtype
        onp.testing.assert_array_equal(file["group/data"][()], expected)
    found = np.asarray(hdf5.from_file(path, "group/data"))
    assert is_dealt(found) == (x.size >= 2)
    onp.testing.assert_array_equal(onp.asarray(found), expected)
    assert names(path.parent) == ["x.h5"]


def test_hdf5_chunks_filters_and_batches(size: int, tmp_path: Path) -> None:
    a = onp.arange(31 * 17, dtype=">i4").reshape(31, 17)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("packed", data=a, chunks=(4, 5), compression="gzip", shuffle=True)
    onp.testing.assert_array_equal(onp.asarray(np.asarray(hdf5.from_file(tmp_path / "x.h5", "packed"))), a)
    seen = onp.zeros_like(a)
    for part, (i, j) in hdf5.from_file_batched(tmp_path / "x.h5", "packed", (10, 7)):
        m, n = part.extents
        seen[i : i + m, j : j + n] = onp.asarray(np.asarray(part)) + 1
    onp.testing.assert_array_equal(seen, a + 1)


@pytest.mark.parametrize("tile", [(60, 24), (20, 24), (60, 4), (10, 8), (1, 24), (7, 5)])
def test_tiles_and_zarr(size: int, tmp_path: Path, tile: tuple[int, int]) -> None:
    x = np.arange(60 * 24.0).reshape(60, 24) + 1
    x[5] = -0.0
    columns = x.T.copy().T
    expected = onp.asarray(x)
    for given in (x, columns, x[:, ::-1][:, ::-1]):
        zarr.write_array(given, tmp_path / "z", tile)
        assert theirs.open_array(tmp_path / "z").chunks == tile
        found = np.asarray(zarr.read_array(tmp_path / "z"))
        assert is_dealt(found)
        assert onp.asarray(found).tobytes() == expected.tobytes()
        if tile != (7, 5):
            to_tiles(tmp_path / "t", given, tile, (1, 2))
            tiles = np.asarray(from_tiles(tmp_path / "t", x.shape, ty.float64, tile, (1, 2)))
            assert is_dealt(tiles)
            assert onp.asarray(tiles).tobytes() == expected.tobytes()
    assert names(tmp_path) == (["z"] if tile == (7, 5) else ["t", "z"])


def test_chunks_that_are_chosen_are_the_ranks_own(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent for writing an array that is dealt out evenly, in chunks of less than a part."""
    x = np.arange(7000.0).reshape(700, 10) + 1
    legate.fence()
    monkeypatch.setattr(zarrs, "CHUNK", 5000)
    monkeypatch.setattr(Comm, "exchange", None)
    zarr.write_array(x, tmp_path / "z")
    array = theirs.open_array(tmp_path / "z")
    assert array.chunks[0] * 80 <= 5000 and array.chunks[1] == 10
    onp.testing.assert_array_equal(array[...], onp.asarray(x))


def test_raw_handles(size: int, tmp_path: Path) -> None:
    x = arrays()["rows"]
    with FileHandle(tmp_path / "x", "w+") as file:
        file.write(x)
        file.write(x[:2] * 3)
        found = np.asarray(file.read(ty.float64))
    assert is_dealt(found)
    expected = onp.asarray(x).copy()
    expected[:2] *= 3
    onp.testing.assert_array_equal(onp.asarray(found), expected.ravel())
    with pytest.raises(FileNotFoundError):
        FileHandle(tmp_path / "none")


def test_raw_files_text_and_archives(size: int, tmp_path: Path) -> None:
    for name, x in arrays().items():
        expected = onp.asarray(x)
        x.tofile(tmp_path / "raw")
        onp.testing.assert_array_equal(onp.fromfile(tmp_path / "raw", expected.dtype), expected.ravel())
        onp.testing.assert_array_equal(np.fromfile(str(tmp_path / "raw"), expected.dtype), expected.ravel())
        if expected.ndim in (1, 2) and name != "bool":
            text = {"fmt": "%g", "header": "top", "footer": "end"}
            np.savetxt(tmp_path / "ours.txt", x, **text)
            onp.savetxt(tmp_path / "theirs.txt", expected, **text)
            assert (tmp_path / "ours.txt").read_text() == (tmp_path / "theirs.txt").read_text()
    given = arrays()
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "all", given["rows"], onp.arange(3), [1, 2], **given)
        with onp.load(tmp_path / "all.npz") as found:
            assert set(found.files) == {"arr_0", "arr_1", "arr_2", *given}
            for name, x in given.items():
                onp.testing.assert_array_equal(found[name], onp.asarray(x))
            onp.testing.assert_array_equal(found["arr_2"], [1, 2])
        found = np.load(tmp_path / "all.npz")
        for name, x in given.items():
            ours = found[name]
            assert is_dealt(ours) == (x.size >= 2)
            onp.testing.assert_array_equal(onp.asarray(ours), onp.asarray(x))
            assert ours.dtype == x.dtype and found.f.rows.shape == given["rows"].shape
        onp.savez(
            tmp_path / "theirs", fortran=onp.asfortranarray(onp.ones((40, 3))), text=onp.array(["a", "b"])
        )
        theirs = np.load(tmp_path / "theirs.npz")
        assert theirs["text"][1] == "b" and theirs["fortran"].flags.f_contiguous
        assert is_dealt(theirs["fortran"]) and float(theirs["fortran"].sum()) == 120.0


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("".join(f"{k} {k * k}  {-k}.5\n" for k in range(50)), {}),
        ("".join(f"{k},{k * k}\r\n" for k in range(50)), {"delimiter": ",", "dtype": int}),
        ("# a\n\n1 2\n" + "# b c\n" * 40 + "3 4 # d\n\n5 6", {}),
        ("title\n1 2 3\nmore\n" + "1 2 3\n" * 20, {"skiprows": 3, "usecols": (2, 0), "unpack": True}),
        ("title 1 2 3 4 5 6 7 8 9\n7\n8\n9", {"skiprows": 1}),
        ("7 8 9", {}),
        ("7 8 9", {"ndmin": 2, "comments": None}),
        ("7", {"ndmin": 1}),
        ("7", {}),
        ("7\n" * 9, {"ndmin": 2, "unpack": True}),
        (
            "a;1\na;2\n% b\n" * 9,
            {"delimiter": ";", "comments": ["%", "!"], "converters": {0: lambda word: len(word + "")}},
        ),
        ("1 0\n0 1\n" * 9, {"dtype": bool, "converters": int}),
        ("1+2j 3j\n" * 9, {"dtype": complex}),
        ("1 2\n" * 9, {"max_rows": 4}),
        ("1 2\n" * 9, {"dtype": [("a", "i4"), ("b", "f8")]}),
    ],
)
def test_tables_of_text(size: int, tmp_path: Path, text: str, options: dict[str, Any]) -> None:
    (tmp_path / "x.txt").write_bytes(text.encode())
    expected, found = onp.loadtxt(tmp_path / "x.txt", **options), np.loadtxt(tmp_path / "x.txt", **options)
    if expected.dtype.names is None and "max_rows" not in options:
        assert is_dealt(found) == (expected.size >= 2)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    onp.testing.assert_array_equal(onp.asarray(found), expected)


@pytest.mark.parametrize(
    "text", ["1 2\n" * 30 + "3\n" + "4 5\n" * 30, "1\n" * 20 + "word\n", "1 2\n" * 30 + "1 2 3\n" * 30]
)
def test_errors_in_tables_are_numpys(size: int, tmp_path: Path, text: str) -> None:
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(ValueError) as expected:
        onp.loadtxt(tmp_path / "x.txt")
    with pytest.raises(ValueError) as raised:
        np.loadtxt(tmp_path / "x.txt")
    assert str(raised.value) == str(expected.value)
    with pytest.raises(FileNotFoundError):
        np.loadtxt(tmp_path / "none.txt")


def test_each_rank_parses_its_share(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.txt").write_text("".join(f"{k:04d}\n" for k in range(700)))
    parsed: list[int] = []
    loadtxt = onp.loadtxt

    def seen(lines: Any, *args: Any, **options: Any) -> Any:
        found = loadtxt(lines, *args, **options)
        parsed.append(len(found))
        return found

    monkeypatch.setattr(onp, "loadtxt", seen)
    x = np.loadtxt(tmp_path / "x.txt")
    assert float(x.sum()) == 699 * 350
    assert len(parsed) == size and sum(parsed) == 700 and max(parsed) <= 700 // size + 1


def test_parts_go_from_and_to_their_own_memory(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is allocated for writing rows, nothing but the parts for reading; one write and one read per rank."""
    x = np.arange(7000.0).reshape(700, 10) + 1
    legate.fence()
    allocated: list[int] = []
    calls: list[tuple[str, int]] = []
    allocate, pwrite, preadv = memory.allocate, os.pwrite, os.preadv
    monkeypatch.setattr(memory, "allocate", lambda n: allocated.append(n) or allocate(n))
    monkeypatch.setattr(os, "pwrite", lambda f, b, at: calls.append(("write", len(b))) or pwrite(f, b, at))
    monkeypatch.setattr(os, "preadv", lambda f, b, at: calls.append(("read", len(b[0]))) or preadv(f, b, at))
    monkeypatch.setattr(contiguous, "brought", None)
    np.save(tmp_path / "x.npy", x)
    assert allocated == []
    np.load(tmp_path / "x.npy")
    parts = [layout.size(layout.tiled((700, 10), 0, size).box(k)) * 8 for k in range(size)]
    assert sorted(allocated) == sorted(parts)
    assert sorted(calls) == sorted([*(("write", n) for n in parts), *(("read", n) for n in parts)])


def test_short_runs_are_brought_together(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = onp.arange(200.0 * size).reshape(50, 4 * size)
    y = cut_by_columns(x)
    written: list[int] = []
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda f, b, at: written.append(len(b)) or pwrite(f, b, at))
    np.save(tmp_path / "y.npy", y)
    onp.testing.assert_array_equal(onp.load(tmp_path / "y.npy"), x)
    assert max(written) <= shards.BLOCK
    assert len(written) < 50 * size / 2  # of runs that are 32 bytes long


def test_files_of_numpys_own_arrays_are_written_once(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects, structures and NumPy's own arrays: the first rank writes, and an error is everybody's."""
    written: list[Any] = []
    save = onp.save
    monkeypatch.setattr(onp, "save", lambda file, *rest: (written.append(file), save(file, *rest))[1])
    np.save(tmp_path / "a.npy", onp.array([{}, 1], object))
    assert written == [tmp_path / "a.npy"]
    assert np.load(tmp_path / "a.npy", allow_pickle=True)[1] == 1
    with pytest.raises(ValueError, match="allow_pickle"):
        np.save(tmp_path / "b.npy", onp.array([{}, 1], object), allow_pickle=False)
    np.savez(tmp_path / "c.npz", onp.arange(3))
    assert list(np.load(tmp_path / "c.npz").files) == ["arr_0"]
    np.arange(4.0).tofile(tmp_path / "d", sep=" ")
    assert (tmp_path / "d").read_text() == "0.0 1.0 2.0 3.0"


def fail_late(at_byte: int, error: Callable[[], BaseException]) -> Any:
    """`os.pwrite` that fails beyond some byte, as on one rank of several."""
    pwrite = os.pwrite

    def failing(file: int, data: Any, at: int) -> int:
        if at >= at_byte:
            raise error()
        return pwrite(file, data, at)

    return failing


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt(), MemoryError("no memory")])
@pytest.mark.parametrize("kind", ["rows", "columns"])
def test_a_rank_that_fails_leaves_the_old_file(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, kind: str
) -> None:
    x = arrays()[kind] if kind == "rows" else cut_by_columns(onp.arange(2800.0).reshape(50, 56))
    legate.fence()
    np.save(tmp_path / "x.npy", np.arange(5))
    hdf5.to_file(np.arange(5), tmp_path / "x.h5", "d")
    before = [(tmp_path / name).read_bytes() for name in ("x.npy", "x.h5")]
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fail_late(2500, lambda: error))
        for write in (
            lambda: np.save(tmp_path / "x.npy", x),
            lambda: hdf5.to_file(x, tmp_path / "x.h5", "d"),
            lambda: np.save(tmp_path / "new.npy", x),
        ):
            with pytest.raises(type(error)) as raised:
                write()
            assert str(raised.value) == str(error)
    assert [(tmp_path / name).read_bytes() for name in ("x.npy", "x.h5")] == before
    assert names(tmp_path) == ["x.h5", "x.npy"]
    np.save(tmp_path / "x.npy", x)  # the ranks are still together


def test_a_rank_that_cannot_open_the_file(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others do not wait for what it would have sent."""
    x = cut_by_columns(onp.arange(2800.0).reshape(50, 56))
    np.save(tmp_path / "x.npy", np.arange(5))
    FileHandle(tmp_path / "raw", "w").write(np.arange(5))
    before = (tmp_path / "x.npy").read_bytes()
    failed: list[str] = []
    opens = os.open

    def failing(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & 3 == os.O_WRONLY and not flags & os.O_CREAT and not failed:
            failed.append(path)
            raise OSError(errno.EMFILE, "too many")
        return opens(path, flags, *args, **options)

    def broken(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EMFILE, "too many")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing)
        with pytest.raises(OSError, match="too many"):
            np.save(tmp_path / "x.npy", x)
        patch.setattr(zarrs, "_opened", broken)
        with pytest.raises(OSError, match="too many"):
            zarr.write_array(x, tmp_path / "z", (7, 9))
    assert failed
    assert (tmp_path / "x.npy").read_bytes() == before
    assert names(tmp_path) == ["raw", "x.npy"]
    with FileHandle(tmp_path / "raw", "r+") as file:
        os.unlink(tmp_path / "raw")
        with pytest.raises(FileNotFoundError):
            file.write(x)


def test_text_and_archives_that_fail_leave_the_old_file(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = arrays()["rows"]
    (tmp_path / "x.txt").write_text("old")
    calls: list[int] = []

    def failing(*_: Any, **__: Any) -> None:
        calls.append(1)
        if len(calls) > 2:
            raise FULL

    with monkeypatch.context() as patch:
        patch.setattr(onp, "savetxt", failing)
        with pytest.raises(OSError, match="No space"):
            np.savetxt(tmp_path / "x.txt", x)
        calls.clear()
        patch.setattr(streams._Member, "put", failing)
        with pytest.raises(OSError, match="No space"):
            np.savez(tmp_path / "x.npz", x)
    with pytest.raises(FileNotFoundError, match=r"no/x.npz"):
        np.savez(tmp_path / "no" / "x.npz", x)
    assert (tmp_path / "x.txt").read_text() == "old"
    assert names(tmp_path) == ["x.txt"]


def test_errors_of_reading(size: int, tmp_path: Path) -> None:
    x = arrays()["rows"]
    hdf5.to_file(x, tmp_path / "x.h5", "a/b")
    for name in ("a", "c", ""):
        with pytest.raises(KeyError, match="does not exist in"):
            hdf5.from_file(tmp_path / "x.h5", name)
    with pytest.raises(FileNotFoundError):
        hdf5.from_file(tmp_path / "y.h5", "a/b")
    with pytest.raises(FileNotFoundError, match=r"y\.npy"):
        np.load(tmp_path / "y.npy")
    np.save(tmp_path / "x.npy", x)
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="read all data"):  # NumPy's own
        np.load(tmp_path / "x.npy")


def test_simulated_ranks_read_headers_and_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onp.save(tmp_path / "x.npy", onp.arange(80000.0).reshape(400, 200))
    onp.save(tmp_path / "few.npy", onp.arange(3.0))
    legate.fence()
    simulated = SimulatedWorld(8, 0.0, Machine())
    monkeypatch.setattr(runtime, "world", simulated)
    runtime._plans.clear()
    x, few = np.load(tmp_path / "x.npy"), np.load(tmp_path / "few.npy")
    assert x.shape == (400, 200)
    assert {ledger.live for ledger in simulated.ledgers.values()} == {80000}
    assert float(few[2]) == 2.0  # what is small is known
    y = x + 1
    hdf5.to_file(y, tmp_path / "new" / "y.h5", "d")
    zarr.write_array(y, tmp_path / "y.zarr")
    to_tiles(tmp_path / "tiles", y, (100, 100))
    FileHandle(tmp_path / "raw", "w").write(y)
    np.save(tmp_path / "x.npy", y)
    np.savez(tmp_path / "y.npz", y)
    np.savetxt(tmp_path / "y.txt", y)
    assert names(tmp_path) == ["few.npy", "x.npy"]
    monkeypatch.undo()
    runtime._plans.clear()
    onp.testing.assert_array_equal(onp.load(tmp_path / "x.npy"), onp.arange(80000.0).reshape(400, 200))


# ---- real ranks --------------------------------------------------------------------------------------------------------


ROUND_TRIP = """
    import sys, tracemalloc
    import numpy as onp
    import cupynumeric as np
    import legate
    from legate.io import hdf5
    from legate_jit.backends import memory
    from legate_jit.files import shards
    from legate_jit.runtime import world
    shards.BLOCK = 1 << 20
    folder = sys.argv[1]
    x = np.arange(1200000.0).reshape(1200, 1000) * 0.5
    y = x[:, ::-1] + 1
    legate.fence()
    ranks, rank = world.size, world.own[0]
    tracemalloc.start()
    live = memory.stats.peak = memory.stats.live
    np.save(folder + "/x.npy", x)
    hdf5.to_file(x, folder + "/x.h5", "d")
    a = np.load(folder + "/x.npy")
    b = np.asarray(hdf5.from_file(folder + "/x.h5", "d"))
    np.savez(folder + "/x.npz", x=x)
    c = np.load(folder + "/x.npz")["x"]
    legate.fence()
    most = max(memory.stats.peak - live - 3 * x.nbytes // ranks, tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    np.savetxt(folder + "/x.txt", x[:50])
    d = np.loadtxt(folder + "/x.txt")
    print("most", most < 0.6 * x.nbytes / ranks + 2e6)
    z = bool(((a == x) & (b == x) & (c == x)).all()) and bool((d == x[:50]).all())
    print("equal", z, bool((onp.load(folder + "/x.npz")["x"] == onp.asarray(x)).all()))
    errors = []
    for wrong in (
        lambda: np.load(folder + "/no.npy"),
        lambda: np.save(folder + "/no/x.npy", x),
        lambda: hdf5.from_file(folder + "/x.h5", "no"),
        lambda: np.save(folder + f"/rank{rank}.npy", x),
        lambda: np.load(folder + f"/rank{rank}.npy"),
    ):
        try:
            wrong()
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
    print(errors)
    print("together", float(x.sum()))
"""


@pytest.mark.parametrize("count", [2, 4])
def test_real_ranks(tmp_path: Path, count: int) -> None:
    lines = succeeds(ROUND_TRIP, count, str(tmp_path)).splitlines()
    assert lines.count("most True") == count
    assert lines.count("equal True True") == count
    errors = {line for line in lines if line.startswith("[")}
    assert len(errors) == 1
    found = eval(errors.pop())
    assert [e.split(":")[0] for e in found] == [
        "FileNotFoundError", "FileNotFoundError", "MissingDatasetError", "ValueError", "ValueError",
    ]  # fmt: skip
    assert names(tmp_path) == ["x.h5", "x.npy", "x.npz", "x.txt"]
    onp.testing.assert_array_equal(
        onp.load(tmp_path / "x.npy"), onp.arange(1200000.0).reshape(1200, 1000) * 0.5
    )


FAILING = """
    import os, signal, sys
    import cupynumeric as np
    from legate_jit.runtime import world
    folder, kind = sys.argv[1:]
    x = np.arange(200000.0)
    np.save(folder + "/x.npy", x)
    pwrite = os.pwrite

    def failing(file, data, at):
        if kind == "full":
            raise OSError(28, "No space left on device")
        os.kill(os.getpid(), signal.SIGKILL)

    if world.own[0] == 1:
        os.pwrite = failing
    try:
        np.save(folder + "/x.npy", x + 1)
    except OSError as error:
        print(error)
    os.pwrite = pwrite
    np.save(folder + "/y.npy", x)
"""


def test_a_full_disk_under_one_rank(tmp_path: Path) -> None:
    out = succeeds(FAILING, 3, str(tmp_path), "full")
    assert out.splitlines() == ["[Errno 28] No space left on device"] * 3
    assert names(tmp_path) == ["x.npy", "y.npy"]
    onp.testing.assert_array_equal(onp.load(tmp_path / "x.npy"), onp.arange(200000.0))


def test_a_rank_that_is_killed_while_it_writes(tmp_path: Path) -> None:
    ended = job(FAILING, 3, str(tmp_path), "kill")
    assert ended.status != 0 and ended.left == 0
    assert "y.npy" not in names(tmp_path)
    onp.testing.assert_array_equal(onp.load(tmp_path / "x.npy"), onp.arange(200000.0))


def test_saving_on_one_rank_only_is_an_error(tmp_path: Path) -> None:
    program = """
        import sys
        import cupynumeric as np
        from legate_jit.runtime import world
        x = np.arange(200000.0)
        if world.own[0] == 0:
            np.save(sys.argv[1] + "/x.npy", x)
        print(float(x.sum()))
    """
    ended = job(program, 2, str(tmp_path))
    assert ended.status != 0 and ended.left == 0
    assert "do not run the same program" in ended.err
    assert names(tmp_path) == []


PAGE = (ROOT / "docs" / "io.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("count", [1, 2])
def test_snippets_of_the_page_run(tmp_path: Path, count: int) -> None:
    """One after the other, as one program."""
    assert len(SNIPPETS) == 3
    program = "\n".join(["import os, sys", "os.chdir(sys.argv[1])", *SNIPPETS])
    out = succeeds(program, count, str(tmp_path))
    expected = ["True 1.0", "500000", "True (1000000,)"]
    assert sorted(out.splitlines()) == sorted(expected * count)


def test_the_example_under_mpiexec(tmp_path: Path) -> None:
    program = f"""
        import runpy, sys
        sys.path.insert(0, {str(ROOT / "examples")!r})
        sys.argv = ["sharded_io.py", "-n", "301", "-i", "3", "--check", "--repeat", "2", "--folder", {str(tmp_path / "new")!r}]
        runpy.run_path({str(ROOT / "examples" / "sharded_io.py")!r}, run_name="__main__")
    """
    assert succeeds(program, 4).count("check: equal to NumPy's") == 4
