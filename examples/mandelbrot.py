"""The Mandelbrot set: points that are still bounded are iterated through a boolean mask."""

from __future__ import annotations

import numpy

import cupynumeric as np
from common import arguments, mostly_equal, run


def escape_times(width: int, height: int, limit: int) -> np.ndarray:
    """How often each point of a (height, width) grid was iterated before it left the circle of radius 2, int64."""
    x = np.linspace(-2.0, 0.6, width)
    y = np.linspace(-1.2, 1.2, height)
    c = x[None, :] + 1j * y[:, None]
    z = np.zeros(c.shape, dtype=np.complex128)
    times = np.zeros(c.shape, dtype=np.int64)
    for _ in range(limit):
        bounded = z.real * z.real + z.imag * z.imag <= 4.0
        z[bounded] = z[bounded] * z[bounded] + c[bounded]
        times[bounded] += 1
    return times


def main() -> None:
    """Parse the options, run, report; with --save write a picture."""
    parser = arguments(__doc__)
    parser.add_argument("-x", type=int, default=800, help="points along the real axis")
    parser.add_argument("-y", type=int, default=600, help="points along the imaginary axis")
    parser.add_argument("-i", type=int, default=50, help="iterations")
    parser.add_argument("--save", metavar="FILE", help="write a grayscale picture (needs Pillow)")
    options = parser.parse_args()

    def report(times: np.ndarray) -> str:
        inside = float((times == options.i).mean())
        return (
            f"mandelbrot {options.x} x {options.y}, {options.i} iterations: {inside:.3%} of the points inside"
        )

    # Rounding moves points at the rim of the set: a few may leave one iteration sooner or later.
    times = run(escape_times, (options.x, options.y, options.i), options, report, mostly_equal(1e-3))
    if options.save:
        from PIL import Image

        shade = numpy.log(numpy.asarray(times)) / numpy.log(options.i) * 255
        Image.fromarray(shade.astype(numpy.uint8)).save(options.save)


if __name__ == "__main__":
    main()
