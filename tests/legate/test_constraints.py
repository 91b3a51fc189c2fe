"""Constraints as data: what the functions return and refuse. How they cut is tested with the solver and the tasks."""

from __future__ import annotations

import re
from typing import Any

import pytest

from legate.core import (
    Constraint,
    ImageComputationHint,
    Variable,
    align,
    bloat,
    broadcast,
    image,
    min_extents,
    scale,
)
from legate.core._constraints import DeferredConstraint, translate
from legate_jit.ir.tasks import partition


def symbols(n: int) -> list[Variable]:
    operation = object()
    return [Variable._make(operation, k) for k in range(n)]


FORMS = pytest.mark.parametrize("form", [str, Variable])


def operands(form: type, n: int) -> list[Any]:
    return ["abc"[k] for k in range(n)] if form is str else list(symbols(n))


@FORMS
def test_align_is_pairwise(form: type) -> None:
    a, b, c = operands(form, 3)
    kind = DeferredConstraint if form is str else Constraint
    made = align(a, b, c)
    assert [type(x) for x in made] == [kind, kind]
    assert [x.operands for x in made] == [(a, b), (a, c)]
    assert align(a) == []
    assert align() == []


@FORMS
def test_broadcast_forms(form: type) -> None:
    a, b, c = operands(form, 3)
    assert [(x.operands, x.parameters) for x in broadcast(a)] == [((a,), ((),))]
    assert [(x.operands, x.parameters) for x in broadcast(a, (1, 2))] == [((a,), ((1, 2),))]
    assert [(x.operands, x.parameters) for x in broadcast(a, [0])] == [((a,), ((0,),))]
    three = broadcast(a, b, (c, (1, 2)))
    assert [(x.operands, x.parameters) for x in three] == [((a,), ((),)), ((b,), ((),)), ((c,), ((1, 2),))]


@FORMS
def test_single_constraints(form: type) -> None:
    a, b = operands(form, 2)
    kind = DeferredConstraint if form is str else Constraint
    for made in (
        scale((2, 3), a, b),
        bloat(a, b, (1,), (2,)),
        image(a, b, ImageComputationHint.MIN_MAX),
        min_extents(a, (4, 5)),
    ):
        assert type(made) is kind


def test_mixed_alignment() -> None:
    (v,) = symbols(1)
    with pytest.raises(TypeError, match="All variables for alignment must be strings, not variables, have"):
        align("x", v)
    with pytest.raises(TypeError, match="All variables for alignment must be variables, not strings"):
        align(v, "x")


@pytest.mark.parametrize("bad", [1, None, 2.5])
def test_operands_of_wrong_class(bad: Any) -> None:
    text = re.escape(str(type(bad)))
    with pytest.raises(TypeError, match=text):
        align(bad, bad)
    with pytest.raises(TypeError, match=text):
        align("x", bad)
    with pytest.raises(TypeError, match=text):
        scale((1,), "x", bad)
    with pytest.raises(TypeError, match=text):
        min_extents(bad, (1,))


def test_axes_must_be_iterable() -> None:
    with pytest.raises(ValueError, match="axes must be iterable"):
        broadcast("x", 1)
    with pytest.raises(ValueError, match="axes must be iterable"):
        broadcast("x", ("y", 1))


def test_variables_are_not_constructed_directly() -> None:
    with pytest.raises(ValueError, match="must not be constructed directly"):
        Variable()


def test_translation() -> None:
    number = {"a": 0, "b": 3}.get
    hint = ImageComputationHint.FIRST_LAST
    assert translate(align("a", "b")[0], number) == partition.Align(0, 3)
    assert translate(broadcast("b")[0], number) == partition.Broadcast(3, None)
    assert translate(broadcast("b", (1,))[0], number) == partition.Broadcast(3, (1,))
    assert translate(scale((2,), "a", "b"), number) == partition.Scale((2,), 0, 3)
    assert translate(bloat("a", "b", (1,), (2,)), number) == partition.Bloat(0, 3, (1,), (2,))
    assert translate(image("a", "b", hint), number) == partition.Image(0, 3, int(hint))
    assert translate(min_extents("a", (4,)), number) == partition.MinExtents(0, (4,))
    assert translate(align("a", "left_out")[0], number) is None
