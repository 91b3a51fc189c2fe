"""What a rank of an elementwise program holds: its share of the arrays and 10 %, counted where memory is handed out; and what
happens where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest
from ranks.launch import succeeds

import cupynumeric as np
import legate
from legate_jit.backends import memory

_PROGRAM = """
    import cupynumeric as np
    import legate
    from legate_jit.backends import memory
    from legate_jit.process.world import world

    n = 2_400_000
    x = np.arange(n * 1.0)
    y = np.sqrt(x) + 1
    legate.fence()
    held = 2 * n * 8 / world.size
    assert memory.stats.live <= 1.1 * held, (memory.stats.live, held)

    def chain(x, y):
        t = x * 2.0 + y
        for _ in range(9):
            t = np.where(t > x, np.sqrt(t) - x, t * 0.5)
        return t

    memory.stats.peak = 0
    z = chain(x, y)  # many temporaries, one result
    legate.fence()
    held += n * 8 / world.size
    assert 0.99 * held <= memory.stats.peak <= 1.1 * held, (memory.stats.peak, held)

    for k in range(4):
        z += x * k
        z[: n // 2] = 1.0
        y, x = x, y
        legate.fence()
    assert memory.stats.peak <= 1.1 * held, (memory.stats.peak, held)
    assert memory.stats.live <= 1.1 * held
    total = float(z.sum())  # sums need no more
    assert memory.stats.peak <= 1.1 * held, (memory.stats.peak, held)
    print("fine", total == total)
"""


@pytest.mark.parametrize("ranks", [2, 4])
def test_an_elementwise_program_holds_its_share(ranks: int) -> None:
    assert succeeds(_PROGRAM, ranks).split() == ["fine", "True"] * ranks


@pytest.mark.parametrize("failing", range(3))
def test_no_memory_on_one_rank_is_tried_again(
    failing: int, dealt: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    dealt(3)
    x = np.arange(99.0)
    legate.fence()
    y = x * 2 + 1
    real, calls = memory.allocate, [0]

    def allocate(nbytes: int) -> Any:
        calls[0] += 1
        if calls[0] == failing + 1:
            raise MemoryError("no more")
        return real(nbytes)

    with monkeypatch.context() as patched:
        patched.setattr(memory, "allocate", allocate)
        with pytest.raises(MemoryError, match="no more"):
            legate.fence()
    onp.testing.assert_array_equal(y, onp.arange(99.0) * 2 + 1)


def test_no_memory_on_all_ranks_is_an_error_that_programs_may_catch() -> None:
    said = succeeds(
        """
        import cupynumeric as np
        x = np.arange(300_000.0)
        y = x + 1
        for impossible in (lambda: np.ones(1 << 50), lambda: np.full((1 << 25, 1 << 25), 2.0)):
            try:
                impossible()
            except MemoryError:
                print("caught")
        print(float((y - x).sum()))
        """
    )
    assert sorted(said.split()) == ["300000.0"] * 2 + ["caught"] * 4
