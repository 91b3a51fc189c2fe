"""Library calls that move elements by index or join pieces: take, concatenate, and views of bytes under another item size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from legate_jit.backends.calls import indexed, irregular
from legate_jit.backends.calls.library import Arrays, implementation


@implementation("take")
def _take(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    """(array, indices in [-n, n)); mode 'wrap' spares NumPy a second check of the bounds and a buffer."""
    along = options["axis"] == 0 and args[1].size >= irregular.SMALL
    if not (along and indexed.gather(args[0], args[1], outs[0])):
        np.take(args[0], args[1], axis=options["axis"], out=outs[0], mode="wrap")


@implementation("take_along_axis")
def _take_along_axis(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    """(array, indices in [-n, n)), of one shape but along the axis."""
    outs[0][...] = np.take_along_axis(args[0], args[1].astype(np.int64, copy=False), options["axis"])


@implementation("put_along_axis")
def _put_along_axis(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    """(array, indices in [-n, n), values of their shape); the last of several values for an element is written."""
    outs[0][...] = args[0]
    np.put_along_axis(outs[0], args[1].astype(np.int64, copy=False), args[2], options["axis"])


@implementation("concatenate")
def _concatenate(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    np.concatenate(args, axis=options["axis"], out=outs[0], casting="unsafe")


@implementation("regroup")
def _regroup(args: Arrays, outs: Sequence[np.ndarray], options: dict[str, Any]) -> None:
    """The bytes of the last axis under a dtype of another item size."""
    outs[0][...] = np.ascontiguousarray(args[0]).view(outs[0].dtype)
