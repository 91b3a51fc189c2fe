"""k-means clustering of scikit-learn's handwritten digits (1797 pictures of 8 x 8 pixels)."""

from __future__ import annotations

import numpy

import cupynumeric as np
from common import arguments, close, run


def kmeans(data: np.ndarray, k: int, iterations: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centers (k, features), labels (n,) and the summed squared distance (0-d) after Lloyd's iterations.

    Starts from k pictures spread evenly over the data; an empty cluster keeps its center.
    """
    x = np.array(data, dtype=np.float64)
    centers = x[:: len(x) // k][:k].copy()
    clusters = np.arange(k)
    for _ in range(iterations):
        distance = ((x[:, None, :] - centers[None, :, :]) ** 2).sum(axis=2)
        labels = distance.argmin(axis=1)
        member = (labels[:, None] == clusters).astype(np.float64)
        count = member.sum(axis=0)
        centers = np.where(count[:, None] > 0, (member.T @ x) / np.maximum(count, 1.0)[:, None], centers)
    return centers, labels, distance.min(axis=1).sum()


def digits(copies: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The pictures (n, 64) and the digits they show (n,), `copies` times over with a little noise on the copies."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    random = numpy.random.default_rng(3)
    pictures = numpy.tile(bunch.data, (copies, 1))
    pictures[len(bunch.data) :] += random.normal(0.0, 0.5, (len(bunch.data) * (copies - 1), 64))
    return pictures, numpy.tile(bunch.target, copies)


def purity(labels: numpy.ndarray, target: numpy.ndarray, k: int) -> float:
    """The share of pictures that show the digit most frequent in their cluster."""
    table = numpy.zeros((k, 10))
    numpy.add.at(table, (labels, target), 1)
    return float(table.max(axis=1).sum() / len(target))


def main() -> None:
    """Parse the options, run, report."""
    parser = arguments(__doc__)
    parser.add_argument("-k", type=int, default=10, help="clusters")
    parser.add_argument("-i", type=int, default=20, help="iterations")
    parser.add_argument("--copies", type=int, default=1, help="copies of the data set, for longer runs")
    options = parser.parse_args()
    data, target = digits(options.copies)

    def report(result: tuple[np.ndarray, np.ndarray, np.ndarray]) -> str:
        _, labels, inertia = result
        share = purity(numpy.asarray(labels), target, options.k)
        return f"kmeans, {len(data)} digits, {options.k} clusters: inertia {float(inertia):.1f}, purity {share:.1%}"

    run(kmeans, (data, options.k, options.i), options, report, close(1e-9))


if __name__ == "__main__":
    main()
