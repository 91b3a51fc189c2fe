"""A framework for settings: values given in code, in the environment, or as defaults.

A `PrioritizedSetting` is looked up in this order: a value passed when it is called, a value assigned before, its environment
variable, a default passed when it is called, its own default. An `EnvOnlySetting` comes from the environment or its default and
never changes once read. Knows no particular setting.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = [
    "EnvOnlySetting",
    "PrioritizedSetting",
    "SettingBase",
    "Settings",
    "convert_bool",
    "convert_int",
    "convert_str",
    "convert_str_seq",
]

T = TypeVar("T")


class _Unset:
    """Stands for a value that nobody gave."""


def convert_str(value: str) -> str:
    """The string itself."""
    return value


def convert_int(value: str) -> int:
    """An integer."""
    return int(value)


def convert_bool(value: bool | str) -> bool:
    """A truth value from "0", "1" or ""; truth values are returned as they are. ValueError for other strings."""
    if isinstance(value, bool):
        return value
    if value in ("0", "1", ""):
        return value == "1"
    raise ValueError(f'Cannot convert {value!r} to bool, use "0" or "1"')


def convert_str_seq(value: list[str] | tuple[str, ...] | str) -> tuple[str, ...]:
    """Strings, from a sequence of them or one string with commas. ValueError for other things."""
    if isinstance(value, list | tuple):
        return tuple(value)
    if not isinstance(value, str):
        raise ValueError(f"Cannot convert {value} to list value")
    return tuple(value.split(","))


_NAMES: dict[Callable[..., Any], str] = {
    convert_str: "str",
    convert_int: "int",
    convert_bool: 'bool ("0" or "1")',
    convert_str_seq: "tuple[str, ...]",
}


class SettingBase(Generic[T]):
    """What all settings have: a name, a default, a converter from text, and a help text."""

    def __init__(
        self,
        name: str,
        default: Any = _Unset,
        convert: Callable[[Any], T] | None = None,
        help: str = "",
    ) -> None:
        self._name, self._default, self._help = name, default, help
        self._convert: Callable[[Any], Any] = convert_str if convert is None else convert

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def help(self) -> str:
        """What it is for."""
        return self._help

    @property
    def default(self) -> Any:
        """Its own default."""
        return self._default

    @property
    def convert_type(self) -> str:
        """What its values are, in words. RuntimeError for a converter that does not say."""
        known = _NAMES.get(self._convert) or getattr(self._convert, "type", None)
        if known is None:
            raise RuntimeError(f"the converter of {self._name!r} has no type")
        return str(known)


class PrioritizedSetting(SettingBase[T]):
    """A setting that can be assigned; calling it returns its value."""

    def __init__(
        self,
        name: str,
        env_var: str | None = None,
        default: Any = _Unset,
        convert: Callable[[Any], T] | None = None,
        help: str = "",
    ) -> None:
        super().__init__(name, default, convert, help)
        self._env_var = env_var
        self._user_value: Any = _Unset

    def __call__(self, value: T | str | None = None, default: Any = _Unset) -> T:
        """The value in force. RuntimeError if there is none."""
        found: T = self._convert(self._first(value, default))
        return found

    def _first(self, value: Any, default: Any) -> Any:
        if value is not None:
            return value
        if self._user_value is not _Unset:
            return self._user_value
        if self._env_var and self._env_var in os.environ:
            return os.environ[self._env_var]
        for each in (default, self._default):
            if each is not _Unset:
                return each
        raise RuntimeError(f"No configured value found for setting {self._name!r}")

    def __get__(self, instance: Any, owner: type[Any]) -> PrioritizedSetting[T]:
        return self

    def __set__(self, instance: Any, value: str | T) -> None:
        self.set_value(value)

    def set_value(self, value: str | T) -> None:
        """Assign a value."""
        self._user_value = value

    def unset_value(self) -> None:
        """Forget an assigned value."""
        self._user_value = _Unset

    @property
    def env_var(self) -> str | None:
        """Its environment variable."""
        return self._env_var


class EnvOnlySetting(SettingBase[T]):
    """A setting that only the environment gives; calling it returns its value, which is read once.

    `test_default` is its default when LEGATE_TEST is 1.
    """

    def __init__(
        self,
        name: str,
        env_var: str,
        default: Any = _Unset,
        test_default: Any = _Unset,
        convert: Callable[[Any], T] | None = None,
        help: str = "",
    ) -> None:
        super().__init__(name, default, convert, help)
        self._env_var, self._test_default = env_var, test_default
        self._value: Any = _Unset

    def __call__(self) -> T:
        """The value. ValueError if there is none."""
        if self._value is _Unset:
            self._value = self._convert(self._first())
        found: T = self._value
        return found

    def _first(self) -> Any:
        if self._env_var in os.environ:
            return os.environ[self._env_var]
        if self._test_default is not _Unset and convert_bool(os.environ.get("LEGATE_TEST", "")):
            return self._test_default
        if self._default is not _Unset:
            return self._default
        raise ValueError(
            f"EnvOnlySetting {self._name}: env var {self._env_var} is not set and no default has been provided"
        )

    def __get__(self, instance: Any, owner: type[Any]) -> EnvOnlySetting[T]:
        return self

    def __set__(self, instance: Any, value: Any) -> None:
        raise AttributeError(f"{self._name} is only set by the environment variable {self._env_var}")

    @property
    def env_var(self) -> str:
        """Its environment variable."""
        return self._env_var

    @property
    def test_default(self) -> Any:
        """Its default when LEGATE_TEST is 1."""
        return self._test_default


class Settings:
    """Base of classes whose attributes are settings."""
