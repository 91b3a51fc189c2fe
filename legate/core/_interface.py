"""The Legate data interface: how objects of other libraries are taken as stores.

An object offers `__legate_data_interface__`, a dict with a "version" and, under "data", one named store. Version 1 named it by a
`Field`. Knows no library in particular.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypedDict, runtime_checkable

from legate.core._store import LogicalStore
from legate.core.types import Type

__all__ = [
    "MAX_DATA_INTERFACE_VERSION",
    "MIN_DATA_INTERFACE_VERSION",
    "Field",
    "LegateDataInterface",
    "LegateDataInterfaceItem",
    "as_logical_store",
]

#: versions of the interface that are taken (and version 1, from before stores stood for themselves)
MIN_DATA_INTERFACE_VERSION = 2
MAX_DATA_INTERFACE_VERSION = 2


class Field(NamedTuple):
    """The name of a store in version 1 of the interface."""

    name: str
    type: Type
    nullable: bool = False


class LegateDataInterfaceItem(TypedDict):
    """What `__legate_data_interface__` gives."""

    version: int
    data: dict[Any, Any]


@runtime_checkable
class LegateDataInterface(Protocol):
    """Objects that can be used as stores."""

    @property
    def __legate_data_interface__(self) -> LegateDataInterfaceItem:
        """The version of the interface and the named store."""
        ...


def as_logical_store(obj: Any) -> LogicalStore:
    """The store behind an object: itself, or the one its interface names. They share their elements.

    TypeError if the object has no interface or a broken one; NotImplementedError for versions and objects beyond it.
    """
    if isinstance(obj, LogicalStore):
        return obj
    try:
        interface = obj.__legate_data_interface__
    except AttributeError:
        raise TypeError(f"Object of type {type(obj)} does not implement the Legate data interface") from None
    return _named(interface)


def _named(interface: LegateDataInterfaceItem) -> LogicalStore:
    data = _checked(interface)
    names = iter(data)
    try:
        name = next(names)
    except StopIteration:
        raise TypeError("Legate data object has no fields") from None
    if next(names, None) is not None:
        raise NotImplementedError("Legate data interface objects with more than one store are unsupported")
    store = data[name]
    if not isinstance(store, LogicalStore):
        raise TypeError(f"Legate data object holds a {type(store)}, expected a {LogicalStore}")
    return store


def _checked(interface: LegateDataInterfaceItem) -> dict[Any, Any]:
    """The "data" of an interface of a version we know."""
    try:
        version = interface["version"]
    except KeyError:
        raise TypeError("Legate data interface missing a version number") from None
    if not isinstance(version, int):
        raise TypeError(f"Legate data interface version expected an integer, got {version!r}")
    if version > MAX_DATA_INTERFACE_VERSION:
        raise NotImplementedError(f"Unsupported Legate data interface version {version}")
    data = interface.get("data", {})
    if version < MIN_DATA_INTERFACE_VERSION and not (version == 1 and _has_fields(data)):
        raise TypeError(f"Legate data interface version {version} is below {MIN_DATA_INTERFACE_VERSION=}")
    return data


def _has_fields(data: dict[Any, Any]) -> bool:
    """Whether stores are named as in version 1."""
    return bool(data) and all(isinstance(name, Field) for name in data)
