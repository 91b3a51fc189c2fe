"""Richardson-Lucy deconvolution: sharpen a blurred photograph (one that scikit-learn ships)."""

from __future__ import annotations

import math

import numpy

import cupynumeric as np
from common import arguments, close, run


def gaussian(sigma: float) -> list[float]:
    """The taps of a normalized Gaussian, three sigma to each side."""
    radius = math.ceil(3 * sigma)
    taps = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(-radius, radius + 1)]
    return [tap / sum(taps) for tap in taps]


def blur(image: np.ndarray, taps: list[float]) -> np.ndarray:
    """An (h, w) picture convolved with the taps along both axes; the border pixels continue outward."""
    h, w = image.shape
    radius = len(taps) // 2
    padded = np.pad(image, radius, mode="edge")
    rows = sum(tap * padded[i : i + h, :] for i, tap in enumerate(taps))
    return sum(tap * rows[:, i : i + w] for i, tap in enumerate(taps))


def deblur(image: np.ndarray, sigma: float, iterations: int) -> np.ndarray:
    """The Richardson-Lucy estimate of the picture that a Gaussian blur of `sigma` pixels turned into `image`.

    Both are (h, w) float64 in 0...1. A symmetric kernel is its own transpose, so one function serves both directions.
    """
    observed = np.asarray(image)
    taps = gaussian(sigma)
    estimate = np.full(observed.shape, 0.5)
    for _ in range(iterations):
        ratio = observed / np.maximum(blur(estimate, taps), 1e-12)
        estimate = estimate * blur(ratio, taps)
    return np.clip(estimate, 0.0, 1.0)


def photograph(copies: int) -> numpy.ndarray:
    """The photograph in gray, (427, 640) float64 in 0...1, tiled `copies` times in both directions."""
    from sklearn.datasets import load_sample_image

    gray = load_sample_image("china.jpg").astype(numpy.float64) @ numpy.array([0.299, 0.587, 0.114]) / 255
    return numpy.tile(gray, (copies, copies))


def blurred(image: numpy.ndarray, sigma: float) -> numpy.ndarray:
    """The picture as a bad camera takes it: blurred, with 8 bits for a pixel."""
    from scipy.ndimage import gaussian_filter

    return numpy.round(gaussian_filter(image, sigma, mode="nearest") * 255) / 255


def psnr(image: numpy.ndarray, truth: numpy.ndarray) -> float:
    """Peak signal to noise ratio in decibels."""
    return float(-10 * numpy.log10(numpy.mean((image - truth) ** 2)))


def main() -> None:
    """Parse the options, run, report; with --save write the blurred and the sharpened picture side by side."""
    parser = arguments(__doc__)
    parser.add_argument("-i", type=int, default=20, help="iterations")
    parser.add_argument("--sigma", type=float, default=1.5, help="blur in pixels")
    parser.add_argument("--copies", type=int, default=1, help="tiles in both directions, for longer runs")
    parser.add_argument("--save", metavar="FILE", help="write the pictures (needs Pillow)")
    options = parser.parse_args()
    truth = photograph(options.copies)
    image = blurred(truth, options.sigma)

    def report(estimate: np.ndarray) -> str:
        before, after = psnr(image, truth), psnr(numpy.asarray(estimate), truth)
        return f"richardson_lucy {image.shape[1]} x {image.shape[0]}, {options.i} iterations: {before:.2f} dB -> {after:.2f} dB"

    estimate = run(deblur, (image, options.sigma, options.i), options, report, close(1e-8))
    if options.save:
        from PIL import Image

        both = numpy.hstack([image, numpy.asarray(estimate)])
        Image.fromarray((both * 255).astype(numpy.uint8)).save(options.save)


if __name__ == "__main__":
    main()
