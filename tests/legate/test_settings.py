"""The settings framework: converters, the order in which values count, errors; the runtime's own settings."""

from __future__ import annotations

from typing import Any

import pytest

import legate.util.settings as m
from legate.settings import settings
from legate.util._benchmark.settings import settings as benchmark_settings


def test_booleans() -> None:
    assert m.convert_bool("1") and m.convert_bool(True)
    assert not (m.convert_bool("0") or m.convert_bool("") or m.convert_bool(False))
    with pytest.raises(ValueError, match='Cannot convert \'yes\' to bool, use "0" or "1"'):
        m.convert_bool("yes")


def test_other_converters() -> None:
    assert (m.convert_str("a"), m.convert_int("10")) == ("a", 10)
    assert m.convert_str_seq("a,b") == m.convert_str_seq(["a", "b"]) == ("a", "b")
    with pytest.raises(ValueError, match="Cannot convert 3 to list value"):
        m.convert_str_seq(3)  # type: ignore[arg-type]


def test_nothing_set() -> None:
    with pytest.raises(RuntimeError, match="No configured value found for setting 'foo'"):
        m.PrioritizedSetting("foo")()


def test_which_value_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    setting: Any = m.PrioritizedSetting("foo", "LEGATE_FOO", default="0", convert=int, help="bar")
    assert (setting.name, setting.env_var, setting.help, setting.default) == ("foo", "LEGATE_FOO", "bar", "0")
    assert setting() == 0 and setting(default=10) == 10
    monkeypatch.setenv("LEGATE_FOO", "40")
    assert setting() == setting(default=10) == 40
    setting.set_value("60")
    assert setting() == setting(default=10) == 60
    assert setting("70") == setting(70, default=10) == 70
    setting.unset_value()
    assert setting() == 40


def test_settings_of_a_class() -> None:
    class Some(m.Settings):
        foo: Any = m.PrioritizedSetting("foo", "LEGATE_FOO")
        bar: Any = m.PrioritizedSetting("bar", "LEGATE_BAR", default=10)
        baz: Any = m.EnvOnlySetting("baz", "LEGATE_BAZ", default=1)

    some = Some()
    assert some.foo is Some.foo
    assert some.bar() == 10
    some.bar = 20
    assert some.bar() == 20
    with pytest.raises(AttributeError, match="only set by the environment variable LEGATE_BAZ"):
        some.baz = 3


def test_environment_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = m.EnvOnlySetting("foo", "LEGATE_FOO", default=1, test_default=2, convert=m.convert_int)
    assert setting.test_default == 2
    monkeypatch.setenv("LEGATE_FOO", "7")
    assert setting() == 7
    monkeypatch.setenv("LEGATE_FOO", "8")
    assert setting() == 7


@pytest.mark.parametrize(("test", "value"), [("1", 2), ("0", 1), ("", 1)])
def test_defaults_of_tests(monkeypatch: pytest.MonkeyPatch, test: str, value: int) -> None:
    monkeypatch.setenv("LEGATE_TEST", test)
    assert m.EnvOnlySetting("foo", "LEGATE_FOO", default=1, test_default=2, convert=int)() == value


def test_environment_setting_without_value() -> None:
    with pytest.raises(ValueError, match="EnvOnlySetting foo: env var LEGATE_FOO is not set"):
        m.EnvOnlySetting("foo", "LEGATE_FOO")()


def test_kinds_in_words() -> None:
    def odd(value: Any) -> Any:
        return value

    words = {m.convert_int: "int", m.convert_bool: 'bool ("0" or "1")', m.convert_str_seq: "tuple[str, ...]"}
    for convert, word in words.items():
        assert m.PrioritizedSetting[Any]("foo", convert=convert).convert_type == word
    assert m.PrioritizedSetting("foo").convert_type == "str"
    with pytest.raises(RuntimeError, match="has no type"):
        _ = m.PrioritizedSetting("foo", convert=odd).convert_type


def test_settings_of_the_runtime() -> None:
    for name in ("limit_stdout", "consensus", "test", "min_cpu_chunk", "window_size", "max_exception_size"):
        assert getattr(settings, name).env_var == f"LEGATE_{name.upper()}"
    assert settings.min_cpu_chunk.default == 1 << 14 and settings.min_cpu_chunk.test_default == 2
    assert benchmark_settings.out() == "stdout"
