"""Softmax regression on scikit-learn's handwritten digits, trained by plain gradient descent."""

from __future__ import annotations

import numpy

import cupynumeric as np
from common import arguments, close, run

CLASSES = 10


def softmax(scores: np.ndarray) -> np.ndarray:
    """Row-wise probabilities of (n, classes) scores."""
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def train(
    data: np.ndarray, target: np.ndarray, iterations: int, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (features + 1, 10), the bias last, and the mean cross entropy at the last iteration (0-d)."""
    x = np.ones((data.shape[0], data.shape[1] + 1))
    x[:, :-1] = np.asarray(data) / 16.0
    y = (np.asarray(target)[:, None] == np.arange(CLASSES)).astype(np.float64)
    w = np.zeros((x.shape[1], CLASSES))
    for _ in range(iterations):
        probability = softmax(x @ w)
        loss = -(y * np.log(probability)).sum() / len(x)
        w -= rate * (x.T @ (probability - y)) / len(x)
    return w, loss


def accuracy(w: numpy.ndarray, data: numpy.ndarray, target: numpy.ndarray) -> float:
    """The share of pictures (n, 64) whose digit the weights find."""
    scores = data / 16.0 @ w[:-1] + w[-1]
    return float((scores.argmax(axis=1) == target).mean())


def main() -> None:
    """Parse the options, train on three quarters of the data, report the accuracy on the rest."""
    from sklearn.datasets import load_digits

    parser = arguments(__doc__)
    parser.add_argument("-i", type=int, default=200, help="iterations")
    parser.add_argument("--rate", type=float, default=1.0, help="step length")
    options = parser.parse_args()
    bunch = load_digits()
    cut = len(bunch.data) * 3 // 4

    def report(result: tuple[np.ndarray, np.ndarray]) -> str:
        w, loss = result
        found = accuracy(numpy.asarray(w), bunch.data[cut:], bunch.target[cut:])
        return (
            f"logreg, {cut} digits, {options.i} iterations: loss {float(loss):.6f}, test accuracy {found:.1%}"
        )

    run(train, (bunch.data[:cut], bunch.target[:cut], options.i, options.rate), options, report, close(1e-9))


if __name__ == "__main__":
    main()
