"""The collectives that sorting, searching and selecting calls of a window become: how their parts lie, and which algorithm
computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from legate_jit.collectives import implementation, pivots, searching, sorting
from legate_jit.comm.base import Comm
from legate_jit.ir.ranks.exchanges import Collective


def _by_lines(
    algorithm: Callable[[Comm, np.ndarray], np.ndarray],
    comm: Comm,
    part: np.ndarray,
    out: np.ndarray,
    axis: int,
) -> None:
    """Lines along the axis that is cut, one after the other: there are few, or another axis would have been cut."""
    given, made = np.moveaxis(part, axis, -1), np.moveaxis(out, axis, -1)
    for line in np.ndindex(given.shape[:-1]):
        made[line] = algorithm(comm, given[line])


def _axis_of(what: Collective) -> int:
    return int(dict(what.options)["axis"]) % len(what.result.shape)


@implementation("sort")
def _sort(comm: Comm, parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], what: Collective) -> None:
    _by_lines(sorting.sort, comm, parts[0], outs[0], _axis_of(what))


@implementation("argsort")
def _argsort(comm: Comm, parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], what: Collective) -> None:
    _by_lines(sorting.argsort, comm, parts[0], outs[0], _axis_of(what))


@implementation("partition")
def _partition(comm: Comm, parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], what: Collective) -> None:
    _around(pivots.partition, comm, parts, outs, what)


@implementation("argpartition")
def _argpartition(
    comm: Comm, parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], what: Collective
) -> None:
    _around(pivots.argpartition, comm, parts, outs, what)


def _around(
    algorithm: Callable[[Comm, np.ndarray, Sequence[int]], np.ndarray],
    comm: Comm,
    parts: Sequence[np.ndarray],
    outs: Sequence[np.ndarray],
    what: Collective,
) -> None:
    axis = _axis_of(what)
    places = [k % what.result.shape[axis] for k in dict(what.options)["kth"]]
    _by_lines(lambda comm, line: algorithm(comm, line, places), comm, parts[0], outs[0], axis)


@implementation("count")
def _count(comm: Comm, parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], what: Collective) -> None:
    outs[0][...] = searching.count(comm, *_of_one_type(parts), dict(what.options)["side"])


@implementation("search")
def _search(comm: Comm, parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], what: Collective) -> None:
    outs[0][...] = searching.search(comm, *_of_one_type(parts), dict(what.options)["side"])


def _of_one_type(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Table and needles as NumPy compares them."""
    common = np.result_type(*parts)
    table, needles = (np.ascontiguousarray(x, common) for x in parts)
    return table, needles


@implementation("order")
def _order(comm: Comm, parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], what: Collective) -> None:
    options = dict(what.options)
    places = np.array(options["places"], np.int64)
    given = np.moveaxis(parts[0], options["axis"], -1)
    for line in np.ndindex(given.shape[:-1]):
        outs[0][(slice(None), *line)] = sorting.standing(comm, given[line], places)
