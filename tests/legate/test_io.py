"""Stores in files: HDF5, raw, tiles and Zarr on one rank, against h5py, NumPy and zarr."""

from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr as theirs

import cupynumeric as cn
from legate.core import LogicalStore, ParallelPolicy, Scope, StreamingMode, get_legate_runtime
from legate.core import types as ty
from legate.core.experimental.io import zarr
from legate.core.experimental.io.file_handle import FileHandle, from_file, to_file
from legate.core.experimental.io.tile import from_tiles, from_tiles_by_offsets, to_tiles
from legate.io import hdf5
from legate_jit.backends import memory

runtime = get_legate_runtime()
DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
SHAPES: list[tuple[int, ...]] = [(), (1,), (5,), (4, 2), (2, 3), (5, 4, 3, 2), (0, 3)]


def example(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return (np.arange(math.prod(shape)) * 7 % 5).astype(dtype).reshape(shape)


def store(array: np.ndarray) -> LogicalStore:
    return runtime.create_store_from_buffer(ty.Type.from_numpy_dtype(array.dtype), array.shape, array, False)


def contents(made: LogicalStore) -> np.ndarray:
    assert isinstance(made, LogicalStore)
    return np.asarray(made.get_physical_store())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestHdf5:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_round_trip(self, tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
        a = example(shape, dtype)
        hdf5.to_file(cn.array(a), tmp_path / "x.h5", "group/data")
        with h5py.File(tmp_path / "x.h5") as file:
            data = file["group/data"]
            assert (data.shape, data.dtype, data.chunks) == (shape, a.dtype, None)
            np.testing.assert_array_equal(data[()], a)
        found = hdf5.from_file(str(tmp_path / "x.h5"), "/group/data")
        assert found.type == ty.Type.from_numpy_dtype(a.dtype)
        np.testing.assert_array_equal(contents(found), a)
        assert names(tmp_path) == ["x.h5"]

    @pytest.mark.parametrize("dtype", [*DTYPES, ">f4", ">i2"])
    def test_files_of_h5py(self, tmp_path: Path, dtype: str) -> None:
        a = example((7, 6), dtype)
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["plain"] = a
            file.create_dataset("packed", data=a, chunks=(3, 4), compression="lzf")
            file.create_dataset("growing", data=a, maxshape=(None, 6))
            file["scalar"] = a[2, 3]
            layout = h5py.VirtualLayout(a.shape, a.dtype)
            layout[:4] = h5py.VirtualSource(".", "plain", a.shape)[:4]
            layout[4:] = h5py.VirtualSource(".", "packed", a.shape)[4:]
            file.create_virtual_dataset("virtual", layout)
        for name in ("plain", "packed", "growing", "virtual"):
            np.testing.assert_array_equal(contents(hdf5.from_file(tmp_path / "x.h5", name)), a)
        assert contents(hdf5.from_file(tmp_path / "x.h5", "scalar")) == a[2, 3]

    def test_views_and_what_is_not_computed_yet(self, tmp_path: Path) -> None:
        x = cn.arange(60.0).reshape(6, 10)
        for view in (
            x.T,
            x[::2, 1:-1],
            x[::-1],
            x[3],
            cn.broadcast_to(x[:1], (4, 10)),
            x.real,
            (x + 1).T[2:],
        ):
            hdf5.to_file(view, tmp_path / "x.h5", "d")
            np.testing.assert_array_equal(contents(hdf5.from_file(tmp_path / "x.h5", "d")), np.asarray(view))
        a = np.arange(12.0)
        shared = store(a)
        hdf5.to_file(shared[2:7], tmp_path / "x.h5", "d")
        shared.fill(0)  # what was written is what was there
        np.testing.assert_array_equal(contents(hdf5.from_file(tmp_path / "x.h5", "d")), np.arange(2.0, 7.0))

    def test_in_a_streaming_scope(self, tmp_path: Path) -> None:
        policy = ParallelPolicy(streaming_mode=StreamingMode.RELAXED, overdecompose_factor=8)
        with Scope(parallel_policy=policy):
            made = runtime.create_store(ty.float32, (3, 4))
            runtime.issue_fill(made, 1)
            hdf5.to_file(made, tmp_path / "x.h5", "d")
            del made
        runtime.issue_execution_fence(block=True)
        np.testing.assert_array_equal(
            contents(hdf5.from_file(tmp_path / "x.h5", "d")), np.ones((3, 4), np.float32)
        )

    @pytest.mark.parametrize(
        ("shape", "chunk"), [((5,), (2,)), ((5, 5), (2, 2)), ((4, 3, 5), (4, 2, 7)), ((), ())]
    )
    def test_batches(self, tmp_path: Path, shape: tuple[int, ...], chunk: tuple[int, ...]) -> None:
        a = example(shape, "i4")
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["d"] = a
        seen = []
        for part, offsets in hdf5.from_file_batched(tmp_path / "x.h5", "d", chunk):
            box = tuple(slice(o, o + c) for o, c in zip(offsets, chunk, strict=True))
            np.testing.assert_array_equal(contents(part), a[box])
            seen.append(offsets)
        assert seen == sorted(seen)
        assert len(seen) == math.prod(-(-n // c) for n, c in zip(shape, chunk, strict=True))

    @pytest.mark.one_rank
    def test_batches_read_what_is_asked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["d"] = np.zeros((1000, 10))
        allocated: list[int] = []
        allocate = memory.allocate
        monkeypatch.setattr(memory, "allocate", lambda n: allocated.append(n) or allocate(n))
        batches = hdf5.from_file_batched(tmp_path / "x.h5", "d", (100, 5))
        next(batches)
        assert allocated == [4000]

    @pytest.mark.parametrize("size", [(0, 1, 2), (-1, 2, 3)])
    def test_chunks_must_be_positive(self, size: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=rf"Invalid chunk size \(\({size[0]}, .*\)\), must be >0"):
            next(hdf5.from_file_batched("none.h5", "d", size))

    def test_chunks_must_have_the_axes_of_the_dataset(self, tmp_path: Path) -> None:
        hdf5.to_file(cn.ones((2, 2, 2)), tmp_path / "x.h5", "d")
        with pytest.raises(
            ValueError, match=r"Dimensions of chunks \(2\) must match dimension of dataset \(3\)\."
        ):
            next(hdf5.from_file_batched(tmp_path / "x.h5", "d", (2, 2)))

    def test_a_file_is_replaced_and_folders_are_made(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b" / "x.h5"
        hdf5.to_file(cn.arange(3), path, "one")
        hdf5.to_file(cn.arange(4), path, "two")
        with h5py.File(path) as file:
            assert list(file) == ["two"]
        with pytest.raises(ValueError, match="Not the name of a file"):
            hdf5.to_file(cn.arange(3), tmp_path / "a", "d")
        for name in ("", "/"):
            with pytest.raises(ValueError, match="Not the name of a dataset"):
                hdf5.to_file(cn.arange(3), path, name)
        assert names(path.parent) == ["x.h5"]

    def test_errors(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["group/d"] = np.arange(3)
            file["text"] = "words"
            file["nothing"] = h5py.Empty("f8")
            file["pairs"] = np.zeros(3, [("a", "i4"), ("b", "f8")])
        with pytest.raises(ValueError, match=r"Dataset 'group' does not exist in .*x\.h5"):
            hdf5.from_file(tmp_path / "x.h5", "group")
        with pytest.raises(KeyError, match=r"^Dataset 'none' does not exist in .*x\.h5$"):
            hdf5.from_file(tmp_path / "x.h5", "none")
        for name in ("text", "nothing", "pairs"):
            with pytest.raises(ValueError, match="unsupported HDF5 datatype"):
                hdf5.from_file(tmp_path / "x.h5", name)
        with pytest.raises(FileNotFoundError):
            hdf5.from_file(tmp_path / "none.h5", "d")
        (tmp_path / "text").write_text("no HDF5")
        with pytest.raises(OSError, match="signature"):
            hdf5.from_file(tmp_path / "text", "d")
        with pytest.raises(ValueError, match="unbound"):
            hdf5.to_file(runtime.create_store(ty.int8), tmp_path / "u.h5", "d")
        with pytest.raises(ValueError, match="unsupported HDF5 datatype"):
            hdf5.to_file(runtime.create_store(ty.point_type(2), (3,)), tmp_path / "u.h5", "d")
        with pytest.raises(TypeError, match="data interface"):
            hdf5.to_file([1, 2], tmp_path / "u.h5", "d")
        assert names(tmp_path) == ["text", "x.h5"]

    def test_without_h5py_the_extra_is_named(self) -> None:
        program = (
            "import sys; sys.modules['h5py'] = sys.modules['zarr'] = None\n"
            "for name in 'legate.io.hdf5', 'legate.core.experimental.io.zarr':\n"
            "    try: __import__(name)\n"
            "    except ImportError as error: print(error)\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.count("pip install 'legate-jit[io]'") == 2


class TestRaw:
    def test_handles(self, tmp_path: Path) -> None:
        a = example((30,), "f4")
        path = tmp_path / "x"
        with FileHandle(path, "w") as file:
            file.write(store(a))
            assert file.size == 120
            with pytest.raises(ValueError, match="Cannot read a file opened with flags=w"):
                file.read(ty.float32)
        assert file.closed
        with pytest.raises(RuntimeError, match="file is closed"):
            file.read(ty.float32)
        with FileHandle(str(path), "rb+") as file:
            file.write(cn.full(10, -1.0, np.float32))  # over the beginning
            found = file.read(ty.float32)
        np.testing.assert_array_equal(contents(found), [-1] * 10 + [*a[10:]])
        with FileHandle(path) as file, pytest.raises(ValueError, match="Cannot write to a file"):
            file.write(found)
        FileHandle(path, "w+")
        assert path.read_bytes() == b""
        with pytest.raises(FileNotFoundError):
            FileHandle(tmp_path / "none")
        with pytest.raises(NotImplementedError, match="Unsupported flags: 'a'"):
            FileHandle(path, "a")  # type: ignore[arg-type]

    def test_files(self, tmp_path: Path) -> None:
        a = example((5, 6), "i8")
        to_file(tmp_path / "x", store(a))
        np.testing.assert_array_equal(contents(from_file(tmp_path / "x", ty.int64)), a.ravel())
        np.testing.assert_array_equal(contents(from_file(tmp_path / "x", ty.int16)), a.ravel().view("i2"))
        points = from_file(tmp_path / "x", ty.point_type(2))
        assert (points.extents, points.type) == ((15,), ty.point_type(2))
        np.testing.assert_array_equal(contents(points), a.reshape(15, 2))
        to_file(tmp_path / "y", points)
        assert (tmp_path / "y").read_bytes() == a.tobytes()
        with pytest.raises(ValueError, match="no multiple of the 56 bytes"):
            from_file(tmp_path / "x", ty.array_type(ty.int64, 7))


class TestTiles:
    @pytest.mark.parametrize(
        ("shape", "tile", "start"),
        [((2,), (2,), (1,)), ((4,), (2,), None), ((4, 2), (2, 2), (1, 2)), ((6, 4, 2), (2, 4, 1), None)],
    )
    def test_round_trip(self, tmp_path: Path, shape: Any, tile: Any, start: Any) -> None:
        a = np.arange(math.prod(shape)).reshape(shape)
        to_tiles(tmp_path / "t", store(a), tile, start)
        first = ".".join(map(str, start or (0,) * len(shape)))
        corner = a[tuple(slice(0, t) for t in tile)]
        assert (tmp_path / "t" / first).read_bytes() == corner.tobytes()
        assert len(names(tmp_path / "t")) == a.size // corner.size
        found = from_tiles(tmp_path / "t", shape, ty.int64, tile, start)
        np.testing.assert_array_equal(contents(found), a)

    def test_structures(self, tmp_path: Path) -> None:
        a = np.arange(24).reshape(4, 3, 2)
        pairs = runtime.create_store_from_buffer(ty.point_type(2), (4, 3), a, False)
        to_tiles(tmp_path, pairs, (2, 3))
        assert names(tmp_path) == ["0.0", "1.0"]
        found = from_tiles(tmp_path, (4, 3), ty.point_type(2), (2, 3))
        assert found.type == ty.point_type(2)
        np.testing.assert_array_equal(contents(found), a)

    def test_offsets(self, tmp_path: Path) -> None:
        a = np.arange(30)
        a.tofile(tmp_path / "x")
        found = from_tiles_by_offsets(tmp_path / "x", (4, 4), ty.int64, (0, 8 * 20, 8 * 4, 8), (2, 2))
        expected = np.block(
            [[a[:4].reshape(2, 2), a[20:24].reshape(2, 2)], [a[4:8].reshape(2, 2), a[1:5].reshape(2, 2)]]
        )
        np.testing.assert_array_equal(contents(found), expected)
        with pytest.raises(ValueError, match="has no 4 elements from byte 216 on"):
            from_tiles_by_offsets(tmp_path / "x", (2, 2), ty.int64, (8 * 27,), (2, 2))
        with pytest.raises(ValueError, match=r"number of offsets \(1\) must be that of the tiles \(2\)"):
            from_tiles_by_offsets(tmp_path / "x", (4, 2), ty.int64, (0,), (2, 2))

    @pytest.mark.parametrize(("shape", "tile"), [((2,), (3,)), ((2, 2), (3, 2)), ((2, 3), (2, 2))])
    def test_what_does_not_fit(self, tmp_path: Path, shape: Any, tile: Any) -> None:
        message = (
            rf"The array shape \(\[{shape[0]}.*\]\) must be divisible by the tile shape \(\[{tile[0]}.*\]\)"
        )
        with pytest.raises(ValueError, match=message):
            to_tiles(tmp_path, store(np.ones(shape)), tile)
        with pytest.raises(ValueError, match=message):
            from_tiles(tmp_path, shape, ty.float64, tile)
        with pytest.raises(FileNotFoundError):
            from_tiles(tmp_path, (3, 3), ty.float64, (3, 3))
        (tmp_path / "0").write_bytes(bytes(7))
        with pytest.raises(ValueError, match="has no 1 elements"):
            from_tiles(tmp_path, (1,), ty.float64, (1,))

    def test_a_failure_changes_no_tile(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        to_tiles(tmp_path, store(np.zeros(6)), (2,))
        calls: list[int] = []
        pwrite = os.pwrite

        def failing(file: int, data: Any, at: int) -> int:
            calls.append(file)
            if len(calls) == 3:
                raise OSError(errno.ENOSPC, "full")
            return pwrite(file, data, at)

        monkeypatch.setattr(os, "pwrite", failing)
        with pytest.raises(OSError, match="full"):
            to_tiles(tmp_path, store(np.ones(6)), (2,))
        assert names(tmp_path) == ["0", "1", "2"]
        np.testing.assert_array_equal(contents(from_tiles(tmp_path, (6,), ty.float64, (2,))), np.zeros(6))


class TestZarr:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_round_trip(self, tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
        a = example(shape, dtype)
        for chunks in (None, 2, tuple(max(n - 1, 1) for n in shape)):
            zarr.write_array(cn.array(a), tmp_path / "x", chunks)
            array = theirs.open_array(tmp_path / "x", mode="r")
            assert (array.shape, array.dtype, array.metadata.zarr_format) == (shape, a.dtype, 3)
            np.testing.assert_array_equal(array[...], a)
            np.testing.assert_array_equal(contents(zarr.read_array(tmp_path / "x")), a)
        assert names(tmp_path) == ["x"]

    def test_zeros_keep_their_signs(self, tmp_path: Path) -> None:
        a = np.array([0.0, -0.0, complex(0.0, -0.0)])
        zarr.write_array(store(a), tmp_path / "x", 3)
        assert contents(zarr.read_array(tmp_path / "x")).tobytes() == a.tobytes()

    @pytest.mark.parametrize("version", [2, 3])
    def test_arrays_of_zarr(self, tmp_path: Path, version: Any) -> None:
        a = example((7, 9), ">f4")
        made = theirs.create_array(
            tmp_path / "x", shape=a.shape, dtype=a.dtype, chunks=(3, 2), zarr_format=version
        )
        made[...] = a
        np.testing.assert_array_equal(contents(zarr.read_array(tmp_path / "x")), a)

    def test_a_failure_leaves_the_old_array(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        zarr.write_array(store(np.zeros(6)), tmp_path / "x", 2)

        def failing(*_: Any) -> None:
            raise OSError(errno.ENOSPC, "full")

        with monkeypatch.context() as patch:
            patch.setattr(theirs.Array, "__setitem__", failing)
            with pytest.raises(OSError, match="full"):
                zarr.write_array(store(np.ones(8)), tmp_path / "x", 2)
        np.testing.assert_array_equal(contents(zarr.read_array(tmp_path / "x")), np.zeros(6))
        assert names(tmp_path) == ["x"]

    def test_errors(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            zarr.read_array(tmp_path / "none")
        with pytest.raises(FileNotFoundError):
            zarr.read_array(tmp_path)
        for chunks in ((2,), (0, 2), 0):
            with pytest.raises(ValueError, match="do not fit an array of shape"):
                zarr.write_array(store(np.zeros((2, 2))), tmp_path / "x", chunks)
        with pytest.raises(ValueError, match="unsupported Zarr datatype"):
            zarr.write_array(runtime.create_store(ty.point_type(2), (3,)), tmp_path / "x")
        assert names(tmp_path) == []
