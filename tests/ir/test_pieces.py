"""Chains of overlapping updates that become one sweep: the values are NumPy's, whatever the updates read."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import cupynumeric as cn
from legate_jit import runtime

N = 20_000


def test_later_updates_read_the_array_before_the_chain() -> None:
    """The second update reads the array that the chain began with, at other elements than it writes."""

    def program(xp: Any) -> Any:
        x = xp.asarray(np.arange(N, dtype=float))
        y = x.copy()
        y[1000:9000] = 10.0
        y[500:7000] = x[N - 6500 :]
        return x, y

    for ours, expected in zip(program(cn), program(np), strict=True):
        np.testing.assert_array_equal(np.asarray(ours), expected)


@pytest.mark.parametrize("seed", range(40))
def test_random_chains(seed: int) -> None:
    """Fills, copies of parts and updates in place of two arrays that began as one."""

    def program(xp: Any) -> Any:
        rng = random.Random(seed)
        base = xp.asarray(np.arange(N, dtype=float)) * (1.0 if seed % 2 else 2.0)
        arrays = [base, base.copy()]
        if xp is cn and seed % 3:
            runtime.flush()
        for step in range(rng.randint(2, 6)):
            target, source = rng.choice(arrays), rng.choice(arrays)
            n = rng.randrange(1000, N // 2)
            to, start = rng.randrange(N - n), rng.randrange(N - n)
            match rng.choice(("fill", "copy", "add", "same", "scale")):
                case "fill":
                    target[to : to + n] = float(step)
                case "copy":
                    target[to : to + n] = source[start : start + n]
                case "add":
                    target[to : to + n] += source[start : start + n]
                case "same":
                    target[to : to + n] = source[to : to + n] * 2.0
                case "scale":
                    target[to : to + n] *= 0.5
        return arrays

    for ours, expected in zip(program(cn), program(np), strict=True):
        np.testing.assert_array_equal(np.asarray(ours), expected)
