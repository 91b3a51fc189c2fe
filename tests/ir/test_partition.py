"""The partition solver: documented cuts exactly, and what it promises (disjoint, covering, aligned) on random launches."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legate_jit.ir.tasks.partition import (
    Align,
    Axis,
    Bloat,
    Box,
    Broadcast,
    Color,
    Constraint,
    Image,
    MinExtents,
    Operand,
    Partition,
    Scale,
    Tiles,
    Tiling,
    explicit,
    image_box,
    solve,
)


def boxes(p: Partition, operand: int = 0) -> list[Box]:
    return [p.box(operand, point) for point in p.points()]


def line(p: Partition, operand: int = 0) -> list[tuple[int, int]]:
    """The boxes of a 1-D operand."""
    return [box[0] for box in boxes(p, operand)]


def inputs(*shapes: tuple[int, ...]) -> list[Operand]:
    return [Operand(shape) for shape in shapes]


# ---- documented cuts ---------------------------------------------------------------------------------------------


def test_aligned_operands_have_the_documented_quarters() -> None:
    p = solve([*inputs((1000,), (1000,)), Operand((1000,), "output")], [Align(0, 1), Align(1, 2)], 4)
    assert p.launch == (4,)
    for k in range(3):
        assert line(p, k) == [(0, 250), (250, 500), (500, 750), (750, 1000)]
        assert p.cut(k) == (True,) and p.shared(k) == ()


def test_one_piece_is_one_point_with_whole_boxes() -> None:
    p = solve(inputs((1000,), (3, 4), ()), [], 1)
    assert (p.launch, list(p.points())) == ((), [()])
    assert [p.box(k, ()) for k in range(3)] == [((0, 1000),), ((0, 3), (0, 4)), ()]
    assert p.cut(1) == (False, False)


def test_bloat_widens_and_is_clipped() -> None:
    p = solve(inputs((10,), (10,)), [Bloat(0, 1, (1,), (2,))], 2)
    assert line(p, 0) == [(0, 5), (5, 10)]
    assert line(p, 1) == [(0, 7), (4, 10)]


def test_scale_multiplies_the_smaller_cut() -> None:
    p = solve(inputs((6, 5), (6, 40)), [Broadcast(0, (0,)), Scale((1, 8), 0, 1)], 5)
    assert p.launch == (1, 5)
    assert boxes(p, 0) == [((0, 6), (k, k + 1)) for k in range(5)]
    assert boxes(p, 1) == [((0, 6), (8 * k, 8 * k + 8)) for k in range(5)]


def test_scale_of_a_ragged_operand_covers_the_bigger_tail() -> None:
    p = solve([Operand((13,), "output"), Operand((100,))], [Scale((8,), 0, 1)], 4)
    assert line(p, 0) == [(0, 4), (4, 8), (8, 12), (12, 13)]
    assert line(p, 1) == [(0, 32), (32, 64), (64, 96), (96, 100)]


def test_a_halo_of_a_scaled_cut() -> None:
    p = solve(inputs((10,), (20,), (20,)), [Scale((2,), 0, 1), Bloat(1, 2, (1,), (1,))], 2)
    assert line(p, 2) == [(0, 11), (9, 20)]


def test_batches_of_images_are_cut_along_the_free_axis() -> None:
    shape = (128, 256, 256)
    p = solve(
        [Operand(shape), Operand(shape, "output")], [Align(0, 1), Broadcast(0, (1, 2))], 2, threshold=16384
    )
    assert p.launch == (2, 1, 1)
    assert boxes(p, 1) == [((0, 64), (0, 256), (0, 256)), ((64, 128), (0, 256), (0, 256))]


def test_a_broadcast_reduction_is_whole_for_every_point() -> None:
    p = solve([Operand((1000,)), Operand((10,), "add")], [Broadcast(1)], 4)
    assert p.launch == (4,)
    assert line(p, 1) == [(0, 10)] * 4
    assert (p.cut(1), p.shared(1)) == ((False,), (0,))


def test_promoted_matrices_are_cut_in_three_dimensions() -> None:
    shape = (100, 60, 80)
    p = solve([Operand(shape, "add"), *inputs(shape, shape)], [Align(0, 1), Align(0, 2)], 8)
    assert p.launch == (2, 2, 2)
    assert boxes(p, 0) == boxes(p, 1) == boxes(p, 2)
    assert boxes(p)[5] == ((50, 100), (0, 30), (40, 80))


# ---- the grid ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "pieces", "launch"),
    [
        ((1000,), 7, (7,)),
        ((3,), 8, (3,)),
        ((5,), 4, (3,)),  # tiles of 2: a fourth would be empty
        ((100, 100), 4, (2, 2)),
        ((100, 100), 2, (2, 1)),  # rows stay whole
        ((100, 100), 6, (3, 2)),
        ((10, 1000), 8, (1, 8)),
        ((1000, 10), 8, (8, 1)),
        ((100, 100), 7, (7, 1)),
        ((2, 2), 100, (2, 2)),
        ((3, 3), 9, (3, 3)),
        ((1000, 1, 1000), 4, (2, 1, 2)),
        ((100, 90, 80), 2 * 3 * 5, (5, 3, 2)),
        ((100, 90, 80), 13, (13, 1, 1)),
        ((1000, 900, 800), 11 * 7, (11, 7, 1)),
        ((4, 5, 33), 2, (1, 2, 1)),  # the last axis would be too short
        ((2, 2, 33), 5, (1, 1, 5)),  # no other axis can be cut by 5
        ((4, 4, 4, 4), 16, (4, 2, 2, 1)),
        ((0,), 4, ()),
        ((0, 100), 4, ()),
        ((1, 1), 4, ()),
        ((), 4, ()),
    ],
)
def test_grid(shape: tuple[int, ...], pieces: int, launch: tuple[int, ...]) -> None:
    assert solve(inputs(shape), [], pieces).launch == launch


def test_operands_below_the_threshold_are_not_cut() -> None:
    assert solve(inputs((99,)), [], 4, threshold=100).launch == ()
    assert solve(inputs((100,)), [], 4, threshold=100).launch == (4,)


def test_min_extents() -> None:
    assert solve(inputs((100,)), [MinExtents(0, (25,))], 4).launch == (4,)
    assert solve(inputs((100,)), [MinExtents(0, (26,))], 4).launch == ()
    assert solve(inputs((10,)), [MinExtents(0, (2,))], 4).launch == ()  # the last tile holds one
    p = solve(inputs((10,), (10,)), [Bloat(0, 1, (2,), (2,)), MinExtents(1, (7,))], 2)
    assert p.launch == (2,)


def test_a_cut_that_exists_is_kept() -> None:
    operands = inputs((100, 60), (100, 60), (60,))
    same = [Align(0, 1), Broadcast(2)]
    assert solve(operands, same, 4, keep={1: Tiling((100, 60), (1, 4))}).launch == (1, 4)
    assert solve(operands, same, 4, keep={1: Tiling((100, 60), (8, 1))}).launch == (2, 2)  # too many pieces
    assert solve(operands, [*same, Broadcast(0, (1,))], 4, keep={1: Tiling((100, 60), (1, 4))}).launch == (
        4,
        1,
    )
    assert solve(operands, [*same, Broadcast(0, (1,))], 4, keep={1: Tiling((100, 60), (2, 2))}).launch == (
        2,
        1,
    )


def test_a_kept_cut_of_a_small_operand() -> None:
    p = solve(inputs((10,)), [], 4, threshold=100, keep={0: Tiling((10,), (2,))})
    assert line(p) == [(0, 5), (5, 10)]


# ---- operands without constraints --------------------------------------------------------------------------------


def test_every_operand_has_its_own_tiles_over_the_grid_of_the_largest() -> None:
    p = solve(inputs((10,), (1000,), (5,), (2,)), [], 4)
    assert line(p, 0) == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert line(p, 1) == [(0, 250), (250, 500), (500, 750), (750, 1000)]
    assert line(p, 2) == [(0, 2), (2, 4), (4, 5), (5, 5)]
    assert line(p, 3) == [(0, 2)] * 4  # fewer elements than tiles


def test_small_operands_are_whole() -> None:
    operands = [Operand((1000,)), Operand((8,)), Operand((8,), "add")]
    p = solve(operands, [], 4, threshold=100)
    assert line(p, 1) == line(p, 2) == [(0, 8)] * 4
    assert solve(inputs((1000,), (3, 3)), [], 4, threshold=100).launch == (4,)


def test_operands_of_unlike_numbers_of_axes_make_one_point() -> None:
    assert solve(inputs((1000,), (30, 30)), [], 4).launch == ()
    assert solve(inputs((1000,), (30, 30)), [Broadcast(1)], 4).launch == (4,)
    assert solve(inputs((1000,), (1, 1), ()), [], 4).launch == (4,)


# ---- nothing is written twice ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(10,), (1,), ()])
def test_an_output_that_is_not_cut_makes_one_point(shape: tuple[int, ...]) -> None:
    assert solve([Operand((1000,)), Operand(shape, "output")], [Broadcast(1)], 4).launch == ()


@pytest.mark.parametrize("shape", [(), (1,), (3,), (99,), (3, 3)])
def test_an_output_of_few_elements_makes_one_point(shape: tuple[int, ...]) -> None:
    """Else what is written would depend on how many points there are: `out[...] = x.min(), x.max(), x.mean()`."""
    assert solve([Operand((1000,)), Operand(shape, "output")], [], 4, threshold=100).launch == ()


def test_the_grid_avoids_axes_that_an_output_does_not_have_cut() -> None:
    shape = (100, 100)
    p = solve([Operand(shape), Operand(shape, "output")], [Broadcast(1, (1,))], 4)
    assert p.launch == (4, 1)
    p = solve([Operand(shape), Operand((1, 100), "output")], [], 4)
    assert p.launch == (1, 4)


def test_an_output_with_a_halo_makes_one_point() -> None:
    operands = [Operand((10,)), Operand((10,), "output")]
    assert solve(operands, [Bloat(0, 1, (1,), (0,))], 2).launch == ()
    assert solve(operands, [Bloat(0, 1, (0,), (0,))], 2).launch == (2,)


def test_an_output_cut_by_data_makes_one_point() -> None:
    operands = [Operand((10,)), Operand((10,), "output")]
    assert solve(operands, [Image(0, 1)], 2).launch == ()
    assert solve([operands[0], Operand((10,), "add")], [Image(0, 1)], 2).launch == (2,)


# ---- derived cuts that do not fit --------------------------------------------------------------------------------


def test_a_cut_that_follows_in_two_ways_is_whole() -> None:
    operands = inputs((12,), (6,), (12,))
    p = solve(operands, [Scale((2,), 1, 2), Bloat(0, 2, (1,), (1,))], 3)
    assert line(p, 2) == [(0, 12)] * 3
    p = solve(operands, [Scale((2,), 1, 2), Bloat(0, 2, (0,), (0,))], 3)
    assert line(p, 2) == [(0, 4), (4, 8), (8, 12)]


def test_a_cut_that_follows_from_itself_is_whole() -> None:
    p = solve(inputs((12,), (12,), (12,)), [Bloat(0, 1, (1,), (1,)), Bloat(1, 0, (1,), (1,))], 3)
    assert line(p, 0) == line(p, 1) == [(0, 12)] * 3
    assert line(p, 2) == [(0, 4), (4, 8), (8, 12)]


def test_images_are_named_for_every_aligned_operand() -> None:
    operands = inputs((8,), (50,), (50,), (50,))
    p = solve(operands, [Image(0, 1, 1), Align(1, 2)], 4)
    assert p.images == (Image(0, 1, 1), Image(0, 2, 1))
    assert line(p, 1) == [(0, 50)] * 4
    assert solve(operands, [Image(0, 1), Broadcast(1)], 4).images == ()
    assert solve(operands, [Image(0, 1), Image(3, 1)], 4).images == ()
    assert solve(operands, [Image(0, 1)], 1).images == ()


# ---- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("constraint", "text"),
    [
        (
            Align(0, 1),
            "Alignment requires the stores to have the same shape, but found [10] and [5, 2]",
        ),
        (Broadcast(0, (1,)), "Invalid broadcasting dimension 1 for a 1-D store"),
        (Broadcast(1, (0, -1)), "Invalid broadcasting dimension -1 for a 2-D store"),
        (Scale((1,), 0, 1), "Scaling constraint requires the stores to have the same number of dimensions"),
        (
            Scale((1, 1), 0, 2),
            "Scaling constraint requires the number of factors to match the number of dimensions",
        ),
        (
            Bloat(0, 1, (1,), (1,)),
            "Bloating constraint requires the stores to have the same number of dimensions",
        ),
        (
            Bloat(0, 2, (1,), (1, 1)),
            "Bloating constraint requires the number of offsets to match the number of dimensions",
        ),
        (
            MinExtents(1, (1,)),
            "Minimum extents constraint requires the number of extents to match the number of dimensions",
        ),
    ],
)
@pytest.mark.parametrize("pieces", [1, 4])
def test_constraints_that_do_not_fit(constraint: Constraint, text: str, pieces: int) -> None:
    with pytest.raises(ValueError) as caught:
        solve(inputs((10,), (5, 2), (20,)), [constraint], pieces)
    assert str(caught.value) == text


# ---- cuts by hand ------------------------------------------------------------------------------------------------


def test_tiles_by_hand() -> None:
    p = explicit((2, 3), [Tiles((5, 9), (3, 3)), Tiles((4,)), Tiles((), None)])
    assert boxes(p)[5] == ((3, 5), (6, 9))
    assert len(boxes(p)) == 6 and p.shared(0) == () and p.shared(1) == (0, 1)
    assert line(p, 1) == [(0, 4)] * 6 and p.box(2, (0, 0)) == ()


def test_projections() -> None:
    rows = Tiles((4, 6), (2, 6), (Color(0), Color(-1)))
    turned = Tiles((6, 4), (2, 2), (Color(1), Color(0, -1, 1)))
    every_second = Tiles((12,), (2,), (Color(1, 2, 1),))
    p = explicit((2, 3), [rows, turned, every_second])
    assert p.box(0, (1, 2)) == ((2, 4), (0, 6))
    assert p.box(1, (0, 2)) == ((4, 6), (2, 4))
    assert [p.box(2, (0, k))[0] for k in range(3)] == [(2, 4), (6, 8), (10, 12)]
    assert (p.shared(0), p.shared(1), p.shared(2)) == ((1,), (), (0,))
    assert p.cut(0) == (True, False)


def test_points_from_lower_bounds() -> None:
    p = explicit((2, 2), [Tiles((6, 3), (2, 1))], lower=(1, 0))
    assert list(p.points()) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert boxes(p)[0] == ((2, 4), (0, 1))


def test_colors_outside_give_empty_parts() -> None:
    p = explicit((3,), [Tiles((3,), (2,), (Color(0, 1, -1),)), Tiles((3,), (2,))])
    assert line(p, 0) == [(0, 0), (0, 2), (2, 3)]
    assert line(p, 1) == [(0, 2), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("tiles", "lower"),
    [
        (Tiles((4, 4), (2,)), ()),
        (Tiles((4, 4), (2, 2)), ()),
        (Tiles((4,), (2,), (Color(1),)), ()),
        (Tiles((4,)), (0, 0)),
    ],
)
def test_cuts_by_hand_that_do_not_fit(tiles: Tiles, lower: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"dimension|Lower bounds|tile shape"):
        explicit((2,), [tiles], lower)


# ---- images ------------------------------------------------------------------------------------------------------


def test_image_of_points() -> None:
    points = np.array([[3, 1], [0, 5], [2, 2]])
    assert image_box(points, (10, 10)) == ((0, 4), (1, 6))
    assert image_box(points, (10, 10), 1) == ((0, 4), (1, 6))
    assert image_box(points, (10, 10), 2) == ((2, 4), (1, 3))
    assert image_box(points, (3, 3)) == ((0, 3), (1, 3))  # as far as there are elements
    assert image_box(np.array([4, 2, 7]), (10,)) == ((2, 8),)
    assert image_box(np.array([4, 2, 7], np.uint8), (10,)) == ((2, 8),)
    assert image_box(np.array([[4, 2, 7], [1, 1, 1]]), (10,)) == ((1, 8),)
    assert image_box(np.array([[4], [2]]), (10,)) == ((2, 5),)


def test_image_of_rectangles() -> None:
    rects = np.array([[0, 1], [4, 3], [6, 7]])
    assert image_box(rects, (10,)) == ((0, 8),)
    assert image_box(rects[1:], (10,), 2) == ((6, 8),)
    assert image_box(rects[1:2], (10,)) == ((0, 0),)  # an empty rectangle
    assert image_box(np.array([[1, 2, 3, 5], [0, 9, 1, 9]]), (10, 8)) == ((0, 4), (2, 8))


def test_image_of_structures_and_their_bytes() -> None:
    rect = np.dtype([("lo", np.int64, (2,)), ("hi", np.int64, (2,))])
    rects = np.array([((1, 2), (3, 5)), ((0, 3), (1, 3))], rect)
    assert image_box(rects, (10, 10)) == ((0, 4), (2, 6))
    assert image_box(rects[::-1], (10, 10)) == ((0, 4), (2, 6))
    assert image_box(rects.view(np.uint8).reshape(2, 32), (10, 10)) == ((0, 4), (2, 6))
    point = np.array([((4, 7),)], np.dtype([("x", np.int64, (2,))]))
    assert image_box(point, (10, 10)) == ((4, 5), (7, 8))


@pytest.mark.parametrize(
    "values", [np.zeros((0, 2), np.int64), np.zeros((0, 16), np.uint8), np.zeros((0, 3, 4), np.int64)]
)
def test_image_of_nothing_is_empty(values: np.ndarray) -> None:
    assert image_box(values, (10, 10)) == ((0, 0), (0, 0))


@pytest.mark.parametrize(
    "values", [np.zeros((4, 3), np.int64), np.zeros((4, 2)), np.zeros(4, "V8"), np.int64(3)]
)
def test_image_of_other_things(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="should have N-D points or rects"):
        image_box(np.asarray(values), (10, 10))


# ---- promises, on random launches --------------------------------------------------------------------------------

roles = st.sampled_from(["input", "output", "add"])


@st.composite
def launches(draw: st.DrawFn) -> tuple[list[Operand], list[Constraint], int, int]:
    shapes = draw(st.lists(st.lists(st.integers(0, 13), max_size=3).map(tuple), min_size=1, max_size=3))
    chosen = draw(st.lists(st.sampled_from(shapes), min_size=1, max_size=5))
    operands = [Operand(shape, draw(roles)) for shape in chosen]
    numbers = st.integers(0, len(operands) - 1)
    constraints: list[Constraint] = []
    for a, b in draw(st.lists(st.tuples(numbers, numbers), max_size=4)):
        first, second = operands[a].shape, operands[b].shape
        halo = st.lists(st.integers(0, 3), min_size=len(first), max_size=len(first)).map(tuple)
        if draw(st.booleans()):
            axes = st.lists(st.integers(0, len(first) - 1), unique=True).map(tuple) if first else st.none()
            constraints.append(Broadcast(a, draw(st.none() | axes)))
        elif first == second and a != b:
            constraints.append(draw(st.sampled_from([Align(a, b), Bloat(a, b, draw(halo), draw(halo))])))
        elif len(first) == len(second) and a != b:
            constraints.append(Scale(draw(halo), a, b))
        elif a != b:
            constraints.append(Image(a, b, draw(st.integers(0, 2))))
    return operands, constraints, draw(st.integers(1, 24)), draw(st.sampled_from([1, 50]))


def elements(box: Box) -> set[tuple[int, ...]]:
    return set(product(*(range(lo, hi) for lo, hi in box)))


@given(launches())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_promises(case: tuple[list[Operand], list[Constraint], int, int]) -> None:
    operands, constraints, pieces, threshold = case
    p = solve(operands, constraints, pieces, threshold)
    assert (
        p == solve(operands, constraints, pieces, threshold)
        and eval(repr(p), {"Partition": Partition, "Axis": Axis, "Image": Image}) == p
    )
    assert p.launch == () or 1 < prod(p.launch) <= pieces
    assert len(list(p.points())) == prod(p.launch)
    derived = {c.range for c in constraints if isinstance(c, Image)}
    derived |= {c.bigger for c in constraints if isinstance(c, Scale)}
    for k, (operand, own) in enumerate((o, boxes(p, k)) for k, o in enumerate(operands)):
        assert all(0 <= lo <= hi <= n for box in own for (lo, hi), n in zip(box, operand.shape, strict=True))
        if operand.role == "output" or not p.shared(k):
            assert sum(prod(hi - lo for lo, hi in box) for box in own) <= prod(operand.shape)
            covered = [e for box in own for e in elements(box)]
            assert len(covered) == len(set(covered))
        if not any(isinstance(c, Scale | Align) for c in constraints) and k not in derived:
            assert set().union(*map(elements, own)) == elements(tuple((0, n) for n in operand.shape))
    for c in constraints:
        match c:
            case Align(a, b):
                assert boxes(p, a) == boxes(p, b)
            case Broadcast(k, axes):
                for d in range(len(operands[k].shape)) if axes is None else axes:
                    assert {box[d] for box in boxes(p, k)} == {(0, operands[k].shape[d])}
            case Bloat(a, b):
                for inner, outer in zip(boxes(p, a), boxes(p, b), strict=True):
                    assert elements(inner) <= elements(outer)


def test_the_same_in_every_process() -> None:
    program = (
        "from legate_jit.ir.tasks.partition import *\n"
        "o = [Operand((30, 40, 50)), Operand((30, 40, 50), 'output'), Operand((7, 8, 9)), Operand((30, 40, 50))]\n"
        "print(solve(o, [Align(3, 1), Broadcast(0, (2,)), Bloat(0, 3, (1, 1, 1), (0, 0, 0))], 12))"
    )
    results = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(results) == 1 and "launch=(" in results.pop()


def test_thousands_of_pieces_are_arithmetic() -> None:
    p = solve(inputs((1 << 40,)), [], 4096)
    assert p.launch == (4096,)
    assert p.box(0, (4095,)) == (((1 << 40) - (1 << 28), 1 << 40),)
