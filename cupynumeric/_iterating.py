"""`nditer`: NumPy's iterator over the elements of arrays of ours.

NumPy iterates over memory. Operands that are only read are shown as they were when the iterator was made; those that are written
are copied, and the copies are written back when the iterator is exhausted, closed, or dropped. Knows conversion only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cupynumeric._array import Ours, ndarray, refuses_writes
from cupynumeric._convert import from_numpy_tree, host_view, to_numpy_tree

__all__ = ["nditer"]

_WRITING = ("readwrite", "writeonly")


class nditer:
    """`numpy.nditer`, with the same arguments. Elements are NumPy's; `operands` are the arrays that were given."""

    def __init__(self, op: Any, flags: Any = None, op_flags: Any = None, *args: Any, **kwargs: Any) -> None:
        several = isinstance(op, (tuple, list))
        self._given: list[Any] = list(op) if several else [op]
        self._copies: list[tuple[ndarray, np.ndarray]] = []
        hosts = [self._host(x, _flags_of(op_flags, k)) for k, x in enumerate(self._given)]
        options = {name: x for name, x in (("flags", flags), ("op_flags", op_flags)) if x is not None}
        make: Any = np.nditer
        self._it = make(hosts if several else hosts[0], *args, **options, **to_numpy_tree(kwargs))

    def _host(self, x: Any, flags: tuple[str, ...]) -> Any:
        if not isinstance(x, Ours) or not any(f in _WRITING for f in flags):
            return to_numpy_tree(x)
        host = host_view(x).copy()
        host.flags.writeable = not refuses_writes(x)
        if host.flags.writeable:
            self._copies.append((x, host))
        return host

    def _write_back(self) -> None:
        for array, host in self._copies:
            array[...] = host

    def __iter__(self) -> nditer:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._it)
        except StopIteration:
            self._write_back()
            raise

    def iternext(self) -> bool:
        """Go on to the next element; whether there is one."""
        more = self._it.iternext()
        if not more:
            self._write_back()
        return bool(more)

    def close(self) -> None:
        """Write everything back."""
        if self._copies:
            self._it.close()
            self._write_back()
            self._copies = []

    def __enter__(self) -> nditer:
        self._it.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._it.__exit__(*error)
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_it"):  # it was made
            self.close()

    @property
    def operands(self) -> tuple[Any, ...]:
        """The arrays; those that NumPy allocated are copied out as they are now."""
        self._write_back()
        pairs = zip(self._given, self._it.operands, strict=True)
        return tuple([given if isinstance(given, Ours) else from_numpy_tree(host) for given, host in pairs])

    def copy(self) -> Any:
        """NumPy's iterator, at the same place."""
        return self._it.copy()

    def __copy__(self) -> Any:
        return self._it.copy()

    def __len__(self) -> int:
        return len(self._it)

    def __getitem__(self, key: Any) -> Any:
        return self._it[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._it[key] = to_numpy_tree(value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._it, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:  # `multi_index`, `index`, `iterindex`, `iterrange`: where to go on
            setattr(self._it, name, value)


def _flags_of(op_flags: Any, k: int) -> tuple[str, ...]:
    """The flags of the k-th operand: one list for all, or one for each."""
    if not op_flags:
        return ()
    if all(isinstance(f, str) for f in op_flags):
        return tuple(op_flags)
    return tuple(op_flags[k]) if k < len(op_flags) else ()
