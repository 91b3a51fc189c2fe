"""What a task may be: everything that is judged when it is defined, registered or given variants."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, Optional, Union

import pytest

from legate.core import (
    LogicalStore,
    PhysicalStore,
    Scalar,
    TaskConfig,
    TaskContext,
    TaskInfo,
    VariantCode,
    VariantOptions,
    align,
    broadcast,
    get_legate_runtime,
)
from legate.core.task import (
    ADD,
    AND,
    MAX,
    MIN,
    MUL,
    OR,
    XOR,
    InputArray,
    InputStore,
    OutputArray,
    OutputStore,
    PyTask,
    ReductionArray,
    ReductionStore,
    VariantInvoker,
    task,
)
from legate.core.types import ReductionOpKind


def nothing() -> None:
    pass


def all_kinds(
    ctx: TaskContext,
    a: InputStore,
    b: OutputArray,
    n: int,
    c: ReductionStore[ADD],
    d: InputArray | None = None,
) -> None:
    pass


# ---- what is allowed -------------------------------------------------------------------------------------------------


def test_bare_and_called() -> None:
    assert isinstance(task(nothing), PyTask)
    assert isinstance(task()(nothing), PyTask)
    assert isinstance(task(variants=tuple(VariantCode))(nothing), PyTask)


def test_names_of_parameters_by_role() -> None:
    invoker = VariantInvoker(all_kinds)
    assert invoker.inputs == ("a", "d")
    assert invoker.outputs == ("b",)
    assert invoker.reductions == ("c",)
    assert invoker.scalars == ("n",)
    assert list(invoker.signature.parameters) == ["ctx", "a", "b", "n", "c", "d"]
    assert callable(invoker)


def test_reduction_operators() -> None:
    assert tuple(ReductionOpKind[n] for n in ("ADD", "MUL", "MAX", "MIN", "OR", "AND", "XOR")) == (
        ADD,
        MUL,
        MAX,
        MIN,
        OR,
        AND,
        XOR,
    )

    def every(
        a: ReductionStore[ADD], b: ReductionArray[MUL], c: ReductionStore[MAX], d: ReductionStore[MIN]
    ) -> None: ...

    assert VariantInvoker(every).reductions == ("a", "b", "c", "d")
    assert "ReductionStore[<ReductionOpKind.ADD: 0>]" in repr(ReductionStore[ADD])


def test_array_names_are_store_names() -> None:
    assert issubclass(InputArray, InputStore)
    assert issubclass(OutputArray, OutputStore)
    assert issubclass(ReductionArray, ReductionStore)
    assert issubclass(InputStore, PhysicalStore)


def test_optional_spellings() -> None:
    def f(
        a: InputStore | None = None,
        b: None | OutputStore = None,  # noqa: RUF036
        c: Optional[InputStore] = None,  # noqa: UP045
        d: Union[InputArray, None] = None,  # noqa: UP007
        e: ReductionStore[ADD] | None = None,
    ) -> None: ...

    invoker = VariantInvoker(f)
    assert (invoker.inputs, invoker.outputs, invoker.reductions) == (("a", "c", "d"), ("b",), ("e",))


def test_any_callable_object() -> None:
    class Body:
        def __call__(self, x: InputStore) -> None: ...

    assert "Body" in repr(task(Body()))


def test_generic_scalars_are_their_origin() -> None:
    def f(a: list[int], b: dict[str, int], c: tuple[int, ...]) -> None: ...

    assert VariantInvoker(f).scalars == ("a", "b", "c")


def test_constraints_in_nested_sequences() -> None:
    def f(x: InputStore, y: InputStore, z: OutputStore) -> None: ...

    made = task(constraints=(align("x", "y", "z"), [broadcast("x", "y"), [broadcast("z", (0,))]]))(f)
    assert len(made._invoker.constraints) == 2 + 2 + 1
    task(constraints=broadcast("x", "y", "z"))(f)


# ---- what is not -----------------------------------------------------------------------------------------------------


def test_return_annotation_before_parameters() -> None:
    def f(x) -> int: ...  # type: ignore[no-untyped-def]

    with pytest.raises(
        TypeError,
        match=re.escape("Task must not return values, expected 'None' as return-type, found <class 'int'>"),
    ):
        task(f)


def test_no_return_annotation() -> None:
    def f(x: int): ...  # type: ignore[no-untyped-def]

    task(f)


def test_untyped_parameter() -> None:
    def f(x) -> None: ...  # type: ignore[no-untyped-def]

    with pytest.raises(TypeError, match="Untyped parameters are not allowed, found x"):
        task(f)


def _positional_only(x: InputStore, /) -> None: ...
def _star(x: InputStore, *, y: int) -> None: ...
def _args(*args: int) -> None: ...
def _kwargs(**kwargs: int) -> None: ...


@pytest.mark.parametrize("func", [_positional_only, _star, _args, _kwargs])
def test_kinds_of_parameters(func: Callable[..., None]) -> None:
    text = "'/', '*', '*args', '**kwargs' not yet allowed in parameter list"
    with pytest.raises(NotImplementedError, match=re.escape(text)):
        task(func)


@pytest.mark.parametrize("annotation", [InputStore, OutputArray, ReductionStore[ADD]])
def test_default_stores(annotation: Any) -> None:
    store = get_legate_runtime().create_store_from_scalar(Scalar(1))

    def f(x=store.get_physical_store()) -> None: ...  # type: ignore[no-untyped-def]  # noqa: B008

    f.__annotations__["x"] = annotation
    with pytest.raises(
        NotImplementedError, match=re.escape(f"Default values for {annotation} not yet supported")
    ):
        task(f)


@pytest.mark.parametrize("annotation", [int | str, int | str | None, Union[InputStore, OutputStore]])  # noqa: UP007
def test_unions(annotation: Any) -> None:
    def f(x) -> None: ...  # type: ignore[no-untyped-def]

    f.__annotations__["x"] = annotation
    text = "Arbitrary union types not yet supported. Union types may only be 'SomeType | None'"
    with pytest.raises(NotImplementedError, match=re.escape(text)) as info:
        task(f)
    assert f"Found '{annotation}'" in str(info.value)


def test_annotation_is_no_type() -> None:
    def f(x: None) -> None: ...

    text = "Unhandled type annotation: None, expected this to be a type, got <class 'NoneType'> instead"
    with pytest.raises(AssertionError, match=re.escape(text)):
        task(f)


@pytest.mark.parametrize("annotation", [LogicalStore, PhysicalStore])
def test_bare_store(annotation: Any) -> None:
    def f(x) -> None: ...  # type: ignore[no-untyped-def]

    f.__annotations__["x"] = annotation
    text = (
        f"Type hint '{annotation}' is invalid, because it is impossible to deduce intent from it. "
        "Must use either Input/Output/Reduction variant"
    )
    with pytest.raises(TypeError, match=re.escape(text)):
        task(f)


@pytest.mark.parametrize(("annotation", "count"), [(ReductionStore, 0), (ReductionStore[ADD, MUL], 2)])
def test_number_of_operators(annotation: Any, count: int) -> None:
    def f(x) -> None: ...  # type: ignore[no-untyped-def]

    f.__annotations__["x"] = annotation
    text = (
        f"Type hint '{annotation}' has an invalid number of reduction operators ({count}), expected 1. "
        "For example: 'x: ReductionStore[ADD]'"
    )
    with pytest.raises(TypeError, match=re.escape(text)):
        task(f)


def test_context_not_first() -> None:
    def f(x: InputStore, ctx: TaskContext) -> None: ...

    text = "Explicit task context argument must appear as the first argument to the task. Found it in position 2: "
    with pytest.raises(TypeError, match=re.escape(text)):
        task(f)


def test_context_with_default() -> None:
    def f(ctx: TaskContext = None) -> None: ...  # type: ignore[assignment]

    with pytest.raises(TypeError, match="Explicit task context argument must not have a default value"):
        task(f)


def test_constraint_of_wrong_class() -> None:
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        task(constraints=(1,))(nothing)
    with pytest.raises(
        TypeError, match=r"Constraint #1 of unexpected type. Found <class 'int'>, expected <class .*Deferred"
    ):
        VariantInvoker(nothing, constraints=(1,))  # type: ignore[arg-type]


def test_constraint_on_unknown_parameter() -> None:
    def f(x: OutputStore) -> None: ...

    with pytest.raises(
        ValueError, match=re.escape("constraint argument \"y\" not in set of parameters: {'x'}")
    ):
        task(constraints=(align("x", "y"),))(f)


def test_constraint_on_scalar() -> None:
    def f(out: OutputStore, val: int) -> None: ...

    text = "Could not find val in task arguments: ((0, ()), (1, ('out',)), (2, ()))"
    with pytest.raises(ValueError, match=re.escape(text)):
        task(constraints=(align("out", "val"),))(f)


def test_unknown_variant() -> None:
    with pytest.raises(ValueError, match="Unknown variant kind: 345"):
        task(variants=(345,))(nothing)  # type: ignore[arg-type]


def test_names_that_do_not_resolve() -> None:
    def f(x: NotThere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(NameError):
        task(f)


# ---- variants and registration ----------------------------------------------------------------------------------------


def test_registration_is_lazy() -> None:
    made = task(nothing)
    assert not made.registered
    assert made.library.name == "legate.core"
    number = made.task_id
    assert number > 0
    assert made.registered
    assert made.complete_registration() == number


def test_calling_registers() -> None:
    made = task(nothing)
    made()
    assert made.registered


def test_id_from_options() -> None:
    library = get_legate_runtime().create_library("test_id_from_options")
    number = library.get_new_task_id()
    made = PyTask(func=nothing, variants=(VariantCode.CPU,), options=TaskConfig(number), library=library)
    assert made.task_id == number
    assert made.library is library


def test_automatic_id_with_variant_options() -> None:
    made = task(options=VariantOptions(may_throw_exception=True))(nothing)
    assert made.task_id != task(nothing).task_id


def test_no_variants() -> None:
    with pytest.raises(ValueError, match="Task has no registered variants"):
        task(variants=())(nothing).complete_registration()


def test_variant_decorators_return_the_function() -> None:
    made = task(variants=tuple(VariantCode))(nothing)

    def other() -> None: ...

    assert made.gpu_variant(other) is other
    assert made.omp_variant(other) is other
    assert made.cpu_variant(other) is other


def test_variant_signature() -> None:
    def f(x: InputStore) -> None: ...

    def g(x: OutputStore) -> None: ...

    made = task(f)
    text = f"Invalid signature for {g}, expected (x: {InputStore.__module__}.InputStore) -> None, got (x: "
    with pytest.raises(ValueError, match=re.escape(text)):
        made.cpu_variant(g)
    assert made._invoker.valid_signature(f)
    assert not made._invoker.valid_signature(g)
    with pytest.raises(ValueError, match="Invalid signature"):
        made._invoker.validate_signature(g)


def test_variant_after_registration() -> None:
    made = task(nothing)
    number = made.complete_registration()
    text = f"Task (id: {number}) has already completed registration and cannot update its variants"
    for decorator in (made.cpu_variant, made.gpu_variant, made.omp_variant):
        with pytest.raises(RuntimeError, match=re.escape(text)):
            decorator(nothing)


def test_variant_replaces_the_body() -> None:
    ran = []

    @task
    def f() -> None:
        ran.append("original")

    @f.cpu_variant
    def _() -> None:
        ran.append("cpu")

    f()
    get_legate_runtime().issue_execution_fence(block=True)
    assert set(ran) == {"cpu"}


def test_registration_from_threads() -> None:
    made = task(nothing)
    ids: list[int] = []
    threads = [threading.Thread(target=lambda: ids.append(made.complete_registration())) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1


# ---- TaskInfo and Library -----------------------------------------------------------------------------------------------


def test_task_info() -> None:
    number = get_legate_runtime().core_library.get_new_task_id()
    info = TaskInfo.from_variants(number, "foo", [(VariantCode.CPU, print)])
    assert info.name == "foo"
    assert str(info) == "TaskInfo(name: foo, variants: CPU)"
    assert info.has_variant(VariantCode.CPU)
    assert not info.has_variant(VariantCode.GPU)
    with pytest.raises(RuntimeError, match=re.escape(f"for 1 variant (local id: {number})")):
        info.add_variant(VariantCode.CPU, print)


@pytest.mark.parametrize(
    ("variants", "error", "text"),
    [
        ([], ValueError, "Variants must not be empty"),
        ([(VariantCode.CPU, "foo")], TypeError, "Variant function (foo) for variant kind"),
        ([(12345, print)], ValueError, "12345 is not a valid VariantCode"),
    ],
)
def test_task_info_errors(variants: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        TaskInfo.from_variants(1, "foo", variants)


def test_registering_twice() -> None:
    library = get_legate_runtime().core_library
    number = library.get_new_task_id()
    info = TaskInfo.from_variants(number, "foo", [(VariantCode.CPU, print)])
    library.register_task(info)
    with pytest.raises(RuntimeError, match=re.escape(f"Task (local id: {number}) has no variants!")):
        library.register_task(info)
    other = TaskInfo.from_variants(number, "bar", [(VariantCode.CPU, print)])
    with pytest.raises(ValueError, match=f"Task {number} already exists in library legate.core"):
        library.register_task(other)


@pytest.mark.parametrize("cls", [TaskInfo, TaskContext])
def test_not_constructed_directly(cls: Any) -> None:
    with pytest.raises(ValueError, match="must not be constructed directly"):
        cls()
