"""Arrays that are not yet what arrays are made of: whoever looks at a store, a lens or a type settles them first."""

from __future__ import annotations

from typing import Any

from cupynumeric._array import ndarray


class Unsettled(ndarray):
    """An array whose store is made when somebody wants it."""

    __slots__ = ()

    def settle(self) -> ndarray:
        """An array of the usual kind with these contents, the same one each time."""
        raise NotImplementedError

    @property
    def _store(self) -> Any:  # type: ignore[override]
        return self.settle()._store

    @property
    def _lens(self) -> Any:  # type: ignore[override]
        return self.settle()._lens

    @property
    def _type(self) -> Any:  # type: ignore[override]
        return self.settle()._type

    @property
    def _key(self) -> Any:  # type: ignore[override]
        return self.settle()._key
