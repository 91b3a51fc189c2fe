"""Shapes, domains, orderings of dimensions, symbolic expressions, options, ordered sets, annotations."""

from __future__ import annotations

import random

import numpy as np
import pytest

from legate.core import (
    Annotation,
    DimOrdering,
    Domain,
    DomainPoint,
    LocalTaskID,
    ResourceConfig,
    Shape,
    SymbolicExpr,
    TaskConfig,
    VariantCode,
    VariantOptions,
    constant,
    dimension,
)
from legate.core.utils import OrderedSet


def test_shape() -> None:
    shape = Shape([3, 4])
    assert (shape.extents, shape.volume, shape.ndim, len(shape)) == ((3, 4), 12, 2, 2)
    assert list(shape) == [3, 4] and shape[1] == 4 and shape[-2] == 3
    assert shape == (3, 4) and shape == Shape(shape) and shape != Shape((3,)) and shape != 3
    assert hash(shape) == hash((3, 4))
    assert Shape(()).volume == 1
    with pytest.raises(IndexError):
        shape[2]
    with pytest.raises(OverflowError):
        Shape((-1,))
    with pytest.raises(ValueError, match="Expected an iterable but got"):
        Shape(3)  # type: ignore[arg-type]


def test_domain() -> None:
    domain = Domain(DomainPoint((0, 0)), DomainPoint((3, 1)))
    assert domain.lo == (0, 0) and domain.hi[0] == 3 and domain.dim == 2
    assert Domain() == Domain((0,), (0,))


def test_orderings() -> None:
    c, fortran, custom = (
        DimOrdering.c_order(),
        DimOrdering.fortran_order(),
        DimOrdering.custom_order([1, 0, 2]),
    )
    assert len({c.kind, fortran.kind, custom.kind}) == 3
    assert c == DimOrdering() != fortran
    assert (c.dimensions(3), fortran.dimensions(3), custom.dimensions(3)) == ((2, 1, 0), (0, 1, 2), (1, 0, 2))
    with pytest.raises(ValueError, match="names each dimension once"):
        DimOrdering.custom_order([0, 0])
    with pytest.raises(ValueError, match="does not fit"):
        custom.dimensions(2)


@pytest.mark.parametrize("value", [random.Random(1).randint(-(1 << 31), 1 << 31) for _ in range(3)])
def test_constants(value: int) -> None:
    expr = constant(value)
    assert expr.__eq__(value) is NotImplemented
    assert (expr.dim, expr.weight, expr.offset) == (-1, 0, value)
    assert not expr.is_identity(value) and str(expr) == repr(expr)
    assert (expr + 3).offset == value + 3 and (expr * 3).offset == value * 3


def test_dimensions() -> None:
    expr = dimension(2)
    assert (expr.dim, expr.weight, expr.offset) == (2, 1, 0)
    assert expr.is_identity(2) and not expr.is_identity(1)
    moved = expr * 3 + 4
    assert (moved.weight, moved.offset) == (3, 4) and moved == dimension(2) * 3 + 4 != expr
    assert (moved * 2).offset == 8
    with pytest.raises(ValueError, match="SymbolicExpr objects must not be constructed directly"):
        SymbolicExpr()


def test_variant_options() -> None:
    options = VariantOptions()
    names = (
        "concurrent",
        "has_allocations",
        "elide_device_ctx_sync",
        "has_side_effect",
        "may_throw_exception",
    )
    for name in names:
        assert getattr(options, name) is False
        setattr(options, name, True)
        assert getattr(options, name) is True
    assert options.communicators == ()
    options.communicators = ["a", "b"]  # type: ignore[assignment]
    assert options.communicators == ("a", "b")
    assert options == VariantOptions(**dict.fromkeys(names, True), communicators=("a", "b"))  # type: ignore[arg-type]
    assert options != VariantOptions()


def test_task_config_keeps_copies() -> None:
    config = TaskConfig(LocalTaskID(1))
    assert config.task_id == 1 and config.variant_options is None
    options = VariantOptions(concurrent=True)
    config.variant_options = options
    options.concurrent = False
    kept = config.variant_options
    assert kept is not None and kept.concurrent
    kept.concurrent = False
    assert config.variant_options.concurrent


def test_resource_config() -> None:
    config = ResourceConfig()
    assert config.max_tasks == 1024
    assert (
        config.max_dyn_tasks
        == config.max_reduction_ops
        == config.max_projections
        == config.max_shardings
        == 0
    )
    config.max_tasks = 5
    assert config.max_tasks == 5


def test_variants_are_three() -> None:
    assert tuple(v.name for v in VariantCode) == ("CPU", "GPU", "OMP")


def test_ordered_set() -> None:
    found = OrderedSet([3, 1, 2, 3])
    assert list(found) == [3, 1, 2] and len(found) == 3 and 1 in found
    found.add(0)
    found.update([5, 1])
    found.discard(3)
    found.discard(77)
    assert list(found) == [1, 2, 0, 5]
    assert list(found.remove_all(OrderedSet([2, 5]))) == [1, 0]
    with pytest.raises(KeyError):
        found.remove(77)


def test_annotation() -> None:
    with Annotation({"a": 1}) as nothing:
        assert nothing is None


def test_shapes_are_what_numpy_takes() -> None:
    assert np.zeros(tuple(Shape((2, 3)))).shape == (2, 3)
