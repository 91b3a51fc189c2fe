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


@pytest.mark.parametrize("between", [(2000, 3000), (4000, 6000)])
@pytest.mark.parametrize("made", [False, True])
def test_a_version_is_read_after_another_update(between: tuple[int, int], made: bool) -> None:
    """What is read before an update and written after it, to the same place: beside what the update wrote, and across it."""

    def program(xp: Any) -> Any:
        y = xp.asarray(np.arange(N, dtype=float)) * 3.0
        if xp is cn and made:
            runtime.flush()
        y[1000:9000] += 1.0
        before = y[3000:5000] * 2.0
        y[between[0] : between[1]] -= 7.0
        y[3000:5000] = before
        y[100:200] = 0.0
        return y

    np.testing.assert_array_equal(np.asarray(program(cn)), program(np))


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
