"""Private memory of a kernel call as LLVM IR: on the stack when small, from malloc when not. Knows sizes only."""

from __future__ import annotations

from collections.abc import Callable

from legate_jit.backends.llvm.flow import Flow

#: Bytes of private memory that live on the stack.
_STACK = 32768
#: Unused bytes before and after each row, so that whole vectors may be touched at its ends.
_SLACK = 1024


def allocate(flow: Flow, count: str, sizes: dict[int, int]) -> tuple[dict[int, str], Callable[[], None]]:
    """Rows of `count` elements for each key, of `sizes[key]` bytes per element. Gives the pointers, and what writes the code
    that releases the memory at the end of the call."""
    if not sizes:
        return {}, lambda: None
    total = flow.add(flow.multiply(count, sum(sizes.values())), 2 * _SLACK * len(sizes))
    local = flow.module.fresh()
    flow.allocas.append(f"  {local} = alloca [{_STACK} x i8], align 64")
    flow.module.declare("@malloc", "ptr", "i64", "nounwind")
    flow.module.declare("@free", "void", "ptr", "nounwind")
    large = flow.let(f"icmp sgt i64 {total}, {_STACK}")
    base = flow.when(large, [("ptr", local)], lambda: [flow.let(f"call ptr @malloc(i64 {total})")])[0]
    pointers, pointer = {}, base
    for key, size in sizes.items():
        pointers[key] = pointer = flow.offset(pointer, str(_SLACK))
        pointer = flow.offset(pointer, flow.add(flow.multiply(count, size), _SLACK))

    def free() -> list[str]:
        flow.put(f"call void @free(ptr {base})")
        return []

    def release() -> None:
        flow.when(large, [], free)

    return pointers, release
