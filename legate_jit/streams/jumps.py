"""NumPy's generators at other places of their streams: copies, and jumps over what somebody else draws.

Places are counted in words of 64 bits. Knows NumPy's bit generators; no arrays of ours and no ranks.
"""

from __future__ import annotations

import copy
import zlib
from typing import Any

import numpy as np

#: a `numpy.random.Generator` or `RandomState`
Source = Any

_BLOCK = 4  # words that Philox makes at once

__all__ = ["Source", "bits_of", "can_jump", "copied", "fingerprint", "restore", "same", "skip"]


def bits_of(source: Source) -> Any:
    """The bit generator of a source."""
    return source._bit_generator if isinstance(source, np.random.RandomState) else source.bit_generator


def copied(source: Source) -> Source:
    """A source of NumPy's own class at the same place, which shares nothing with this one."""
    bits = copy.deepcopy(bits_of(source))
    if not isinstance(source, np.random.RandomState):
        return np.random.Generator(bits)
    made = np.random.RandomState(bits)
    made.set_state(source.get_state(legacy=False))
    return made


def restore(source: Source, at: Source) -> None:
    """Bring a source to the place of a copy of it."""
    if isinstance(source, np.random.RandomState):
        source.set_state(at.get_state(legacy=False))
    else:
        source.bit_generator.state = at.bit_generator.state


def can_jump(source: Source) -> bool:
    """Whether `skip` takes no longer for many words than for few."""
    kinds = (np.random.PCG64, np.random.PCG64DXSM, np.random.Philox)
    return type(bits_of(source)) in kinds


def skip(source: Source, words: int) -> None:
    """Go on as if so many words of 64 bits had been drawn, of a source that `can_jump`. Half a word that is left over stays."""
    bits = bits_of(source)
    if not words:
        return
    state = bits.state
    if state["bit_generator"] == "Philox":
        _skip_philox(bits, state, words)
        return
    bits.advance(words)
    bits.state = bits.state | {key: state[key] for key in ("has_uint32", "uinteger")}


def _skip_philox(bits: Any, state: dict[str, Any], words: int) -> None:
    """What is left of the present block, then whole blocks, which count its counter, then a part of the last one."""
    left = _BLOCK - state["buffer_pos"]
    if words > left:
        blocks = (words - left - 1) // _BLOCK
        bits.advance(blocks)
        bits.state = bits.state | {key: state[key] for key in ("has_uint32", "uinteger")}
        words -= left + blocks * _BLOCK
    bits.random_raw(words, output=False)


def same(a: Any, b: Any) -> bool:
    """Whether two states of bit generators are equal."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b)


def fingerprint(source: Source) -> int:
    """A number that tells places of streams apart."""
    if isinstance(source, np.random.RandomState):
        return _number(source.get_state(legacy=False))
    return _number(source.bit_generator.state)


def _number(x: Any, seed: int = 0) -> int:
    if isinstance(x, dict):
        for key in sorted(x):
            seed = _number(x[key], zlib.crc32(key.encode(), seed))
        return seed
    return zlib.crc32(x.tobytes() if isinstance(x, np.ndarray) else repr(x).encode(), seed)
