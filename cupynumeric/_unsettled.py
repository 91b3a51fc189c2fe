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
    def _store(self) -> Any:
        return self.settle()._store

    @_store.setter
    def _store(self, value: Any) -> None:
        self.settle()._store = value

    @property
    def _lens(self) -> Any:
        return self.settle()._lens

    @_lens.setter
    def _lens(self, value: Any) -> None:
        self.settle()._lens = value

    @property
    def _type(self) -> Any:
        return self.settle()._type

    @_type.setter
    def _type(self, value: Any) -> None:
        self.settle()._type = value

    @property
    def _key(self) -> Any:
        return self.settle()._key

    @_key.setter
    def _key(self, value: Any) -> None:
        self.settle()._key = value
