"""Sharded files: a field is read from HDF5, smoothed, and written as HDF5, .npy and Zarr, each rank moving its own part.

Start it with `mpirun -n 4 python sharded_io.py` (or by itself): no rank ever has the whole field. Needs the extra `io`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable

import h5py
import numpy

import cupynumeric as np
import legate
from common import arguments, close, numpy_twin
from legate.core.experimental.io import zarr
from legate.io import hdf5


def field(n: int) -> np.ndarray:
    """An (n, n) field of waves."""
    x = np.linspace(0.0, 20.0, n)
    return np.sin(x)[:, np.newaxis] * np.cos(3 * x) + 0.1 * np.cos(40 * x)


def smoothed(u: np.ndarray, sweeps: int) -> np.ndarray:
    """The field after `sweeps` averages of four neighbors; the border stays."""
    u = u.copy()
    for _ in range(sweeps):
        u[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
    return u


def timed(what: str, nbytes: int, action: Callable[[], object]) -> None:
    """Do it and print the rate."""
    start = time.perf_counter()
    action()
    legate.fence()
    seconds = time.perf_counter() - start
    print(f"  {what:28s} {seconds:8.3f} s {nbytes / seconds / 1e9:7.2f} GB/s")


def main() -> None:
    """Parse the options, make the input, run, report."""
    parser = arguments(__doc__)
    parser.add_argument("-n", type=int, default=2000, help="points along each side")
    parser.add_argument("-i", type=int, default=10, help="sweeps")
    parser.add_argument(
        "--folder",
        default=os.path.join(tempfile.gettempdir(), f"sharded_io_{os.getuid()}"),
        help="where the files go; the same on all ranks",
    )
    options = parser.parse_args()
    n, folder = options.n, options.folder
    given, result = f"{folder}/given.h5", f"{folder}/result"
    hdf5.to_file(field(n), given, "fields/given")

    for _ in range(max(1, options.repeat)):
        u = np.asarray(hdf5.from_file(given, "fields/given"))
        v = smoothed(u, options.i)
        legate.fence()
        print(f"sharded_io {n} x {n}, {options.i} sweeps: mean {float(v.mean()):.6f}")
        timed("write HDF5", v.nbytes, lambda v=v: hdf5.to_file(v, f"{result}.h5", "fields/result"))
        timed("read HDF5", v.nbytes, lambda: hdf5.from_file(f"{result}.h5", "fields/result"))
        timed("write .npy", v.nbytes, lambda v=v: np.save(f"{result}.npy", v))
        timed("read .npy", v.nbytes, lambda: np.load(f"{result}.npy"))
        timed("write Zarr", v.nbytes, lambda v=v: zarr.write_array(v, f"{result}.zarr"))
        timed("read Zarr", v.nbytes, lambda: zarr.read_array(f"{result}.zarr"))

    largest = 0.0  # of a file that need not fit into memory
    for part, _ in hdf5.from_file_batched(f"{result}.h5", "fields/result", (-(-n // 4), n)):
        largest = max(largest, float(np.asarray(part).max()))
    print(f"  the largest element is {largest:.6f}")

    if options.check:
        with h5py.File(given) as file:
            expected = numpy_twin(smoothed)(file["fields/given"][()], options.i)
        with h5py.File(f"{result}.h5") as file:
            found = file["fields/result"][()]
        again = numpy.asarray(np.asarray(zarr.read_array(f"{result}.zarr")))
        compare = close(1e-12)
        for each in (found, numpy.load(f"{result}.npy"), again):
            said = compare(each, expected)
        print(f"  check: {said}")


if __name__ == "__main__":
    main()
