"""Compiling IR text: right code, cached objects, clear errors, and no cost before the first use."""

import ctypes
import gc
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from legate_jit.backends import native
from legate_jit.backends.cache import KernelCache

ADD = "define i64 @add(i64 %a, i64 %b) {\n  %c = add i64 %a, %b\n  %d = add i64 %c, NUMBER\n  ret i64 %d\n}\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KernelCache]:
    cache = KernelCache(str(tmp_path / "cache"))
    monkeypatch.setattr(native._engine(), "cache", cache)
    yield cache


def text(number: int) -> str:
    return ADD.replace("NUMBER", str(number))


def call(code: native.NativeCode, a: int, b: int) -> int:
    return int(ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(code.address("add"))(a, b))


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("optimize", [0, 2])
def test_compile_and_call(level: int, optimize: int) -> None:
    code = native.compile_ir(text(7), ("add",), level=level, optimize=optimize)
    assert call(code, 1, 2) == 10


def test_unknown_symbol_of_code() -> None:
    code = native.compile_ir(text(7), ("add",))
    with pytest.raises(KeyError):
        code.address("other")


def test_many_symbols() -> None:
    code = native.compile_ir(text(0) + text(5).replace("@add", "@more"), ("add", "more"))
    assert call(code, 1, 1) == 2
    assert code.address("more") != code.address("add")


def test_objects_come_from_the_disk(cache: KernelCache) -> None:
    before = native.stats.compiles, native.stats.cache_hits
    assert call(native.compile_ir(text(11), ("add",)), 0, 0) == 11
    assert call(native.compile_ir(text(11), ("add",)), 0, 0) == 11
    assert call(native.compile_ir(text(12), ("add",)), 0, 0) == 12
    native.compile_ir(text(12), ("add",), level=0)
    native.compile_ir(text(12), ("add",), optimize=1)
    assert (native.stats.compiles - before[0], native.stats.cache_hits - before[1]) == (4, 1)
    assert cache.stats.stores == 4
    assert native.stats.seconds > 0


def test_a_damaged_object_is_compiled_anew(cache: KernelCache) -> None:
    native.compile_ir(text(13), ("add",))
    assert cache.folder is not None
    for path in Path(cache.folder).iterdir():
        path.write_bytes(path.read_bytes()[:-5])
    with pytest.warns(RuntimeWarning):
        assert call(native.compile_ir(text(13), ("add",)), 0, 0) == 13
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert call(native.compile_ir(text(13), ("add",)), 0, 0) == 13


def test_invalid_text() -> None:
    with pytest.raises(native.NativeError, match="expected type") as caught:
        native.compile_ir("define", ("f",))
    assert caught.value.text == "define"


def test_invalid_module() -> None:
    bad = "define i64 @f() {\n  br label %b\na:\n  %x = add i64 1, 1\n  ret i64 %x\nb:\n  ret i64 %x\n}\n"
    with pytest.raises(native.NativeError, match="dominate"):
        native.compile_ir(bad, ("f",))


def test_missing_external_symbol(capfd: pytest.CaptureFixture[str]) -> None:
    bad = "declare void @no_such_function()\ndefine void @f() {\n  call void @no_such_function()\n  ret void\n}\n"
    with pytest.raises(native.NativeError):
        native.compile_ir(bad, ("f",))
    assert call(native.compile_ir(text(1), ("add",)), 1, 1) == 3  # the engine is unharmed


def test_missing_export() -> None:
    with pytest.raises(native.NativeError, match="absent"):
        native.compile_ir(text(1), ("absent",))


def test_dropping_code_gives_memory_back() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    if not Path("/proc/self/statm").exists():
        pytest.skip("needs Linux's /proc")
    for number in range(1000, 1050):
        native.compile_ir(text(number), ("add",), level=0)
    gc.collect()
    before = resident()
    for number in range(1050, 1150):
        native.compile_ir(text(number), ("add",), level=0)
    gc.collect()
    assert (resident() - before) * os.sysconf("SC_PAGE_SIZE") < 4 << 20


def test_symbols_of_the_process() -> None:
    assert native.has_symbol("PyLong_AsLongLong")
    assert native.has_symbol("sin")
    assert not native.has_symbol("no_such_function")


@pytest.mark.skipif("not native.has_symbol('_ZGVbN2v_exp')", reason="no vector math on this system")
def test_vector_math_links() -> None:
    code = native.compile_ir(
        """
declare <2 x double> @_ZGVbN2v_exp(<2 x double>)
define void @f(ptr %p) {
  %x = load <2 x double>, ptr %p, align 8
  %y = call <2 x double> @_ZGVbN2v_exp(<2 x double> %x)
  store <2 x double> %y, ptr %p, align 8
  ret void
}
""",
        ("f",),
    )
    values = (ctypes.c_double * 2)(0.0, 1.0)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address("f"))(ctypes.addressof(values))
    assert values[0] == 1.0
    assert abs(values[1] - 2.718281828459045) < 1e-15


def run(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_vector_bytes() -> None:
    widest = native.vector_bytes()
    assert widest in (16, 32, 64)
    ask = "from legate_jit.backends import native; print(native.vector_bytes())"
    assert run(ask, LEGATE_JIT_VECTOR_BYTES="16") == "16"
    assert run(ask, LEGATE_JIT_VECTOR_BYTES="64") == str(widest)
    refused = (
        "from legate_jit.backends import native\ntry: native.vector_bytes()\nexcept ValueError as e: print(e)"
    )
    assert "LEGATE_JIT_VECTOR_BYTES" in run(refused, LEGATE_JIT_VECTOR_BYTES="8")


def test_nothing_is_loaded_before_the_first_use() -> None:
    program = """
import sys
from legate_jit.backends import native, memory
from legate_jit.backends.pool import threads
threads.get_threads(); memory.allocate(100)
print(sorted({"llvmlite", "numba"} & set(sys.modules)))
native.vector_bytes()
print(sorted({"llvmlite", "numba"} & set(sys.modules)))
"""
    assert run(program) == "[]\n['llvmlite']"


def test_without_vector_math() -> None:
    program = """
import llvmlite.binding as llvm
load = llvm.load_library_permanently
def refuse(name):
    if "mvec" in name: raise RuntimeError("absent")
    load(name)
llvm.load_library_permanently = refuse
from legate_jit.backends import native
print(native.has_symbol("_ZGVbN2v_exp"), native.has_symbol("exp"))
code = native.compile_ir("define i64 @f() { ret i64 3 }", ("f",))
print(code.address("f") != 0)
"""
    assert run(program) == "False True\nTrue"


def test_compiles_after_a_fork_in_the_middle_of_one() -> None:
    program = """
import os, threading, time
from legate_jit.backends import native
text = "define i64 @f() { ret i64 %d }"
native.compile_ir(text % 0, ("f",))
stop = False
def work():
    number = 1
    while not stop:
        native.compile_ir(text % number, ("f",), level=0)
        number += 1
        time.sleep(0.0005)  # locks are not fair
worker = threading.Thread(target=work); worker.start()
for turn in range(10):
    child = os.fork()
    if child == 0:
        native.compile_ir(text % -turn, ("f",), level=0)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop = True; worker.join(); print("done")
"""
    assert run(program, LEGATE_JIT_CACHE_DIR="0") == "done"
