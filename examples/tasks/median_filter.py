"""A median filter on a photo: each point of the launch gets its rows and a halo around them.

The filter has no form as array operations that is not many times more work. `bloat` gives every point its part of the image
widened by the filter's radius; what it writes is cut without overlap.
"""

import argparse

import numpy
from sklearn.datasets import load_sample_image

import cupynumeric
from legate.core import align, bloat, get_legate_runtime
from legate.core.task import InputStore, OutputStore, task
from legate.timing import time

RADIUS = 2


def medians(padded: numpy.ndarray) -> numpy.ndarray:
    """Median of every window of a padded image."""
    windows = numpy.lib.stride_tricks.sliding_window_view(padded, (2 * RADIUS + 1, 2 * RADIUS + 1))
    return numpy.median(windows, axis=(-2, -1)).astype(padded.dtype)


@task(
    constraints=(
        align("out", "image"),
        bloat("image", "around", (RADIUS, RADIUS), (RADIUS, RADIUS)),
    )
)
def median_filter(image: InputStore, around: InputStore, out: OutputStore) -> None:
    """Filter the local part of the image, given what lies around it."""
    own, wide = image.domain, around.domain
    # At the edge of the photo there is no halo: the last row or column is repeated instead.
    missing = [
        (RADIUS - (own.lo[d] - wide.lo[d]), RADIUS - (wide.hi[d] - own.hi[d])) for d in range(image.ndim)
    ]
    numpy.asarray(out)[:] = medians(numpy.pad(numpy.asarray(around), missing, mode="edge"))


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=427, help="rows of the photo to filter")
    parser.add_argument("--check", action="store_true", help="compare with NumPy")
    args = parser.parse_args()

    photo = load_sample_image("china.jpg")[: args.rows].mean(axis=2)
    generator = numpy.random.default_rng(0)
    photo[generator.random(photo.shape) < 0.05] = 255.0  # salt
    image = cupynumeric.array(photo)
    out = cupynumeric.zeros_like(image)

    get_legate_runtime().issue_execution_fence()
    start = time()
    median_filter(image, image, out)
    end = time()
    print(f"white pixels: {int((image == 255).sum())} before, {int((out == 255).sum())} after")
    print(f"\nTime elapsed for median filter: {(end - start) / 1000:.6f} milliseconds")

    if args.check:
        numpy.testing.assert_array_equal(out, medians(numpy.pad(photo, RADIUS, mode="edge")))
        print("check: equal to NumPy's")


if __name__ == "__main__":
    main()
