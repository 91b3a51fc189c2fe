"""The native substrate: LLVM IR text in, callable machine code out.

Duty: own the one LLVM engine of the process (target machines, linker, disk cache) and answer what the host
can do (vector width, vector math symbols). It must not know what the IR computes: nothing here names a
kernel, the graph or NumPy.

llvmlite is imported at the first question that needs it, because loading LLVM takes about 0.1 s and programs
that never compile should not pay for it.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from legate_jit.backends.cache import KernelCache, cache_folder

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "NativeCode",
    "NativeError",
    "NativeStats",
    "assembly",
    "compile_ir",
    "has_symbol",
    "host_triple",
    "quick_level",
    "slow_division",
    "stats",
    "vector_bytes",
]

_FORMAT = "2"  # raise when the way of compiling changes, so that old cache entries are no longer found
_FIRST_KNOWN, _LAST_KNOWN = 14, 22  # LLVM versions known to have the options used below
_VECTOR_LIBRARY = "libmvec.so.1"
_QUICK_DIVIDERS = ("znver2", "znver3", "znver4", "znver5")


def _interpreter_ends() -> None:
    """Tell llvmlite, which asks atexit to, that its objects are not to be closed any more. Where it is first imported by what
    other handlers compute, it is too late to ask; this handler is one of the first to be registered, and so of the last to be
    called."""
    common: Any = sys.modules.get("llvmlite.binding.common")
    if common is not None:
        common._at_shutdown()


atexit.register(_interpreter_ends)


class NativeError(RuntimeError):
    """LLVM refused a text, or a linked symbol does not exist; `text` is the IR concerned."""

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text


@dataclass(slots=True)
class NativeStats:
    """Counters since the process began: IR texts compiled, objects found on disk, and seconds spent getting
    code (both ways)."""

    compiles: int = 0
    cache_hits: int = 0
    seconds: float = 0.0


stats = NativeStats()


class NativeCode:
    """Linked machine code; its addresses stay valid as long as this object lives.

    Dropping it unloads the code, so whoever runs the code on another thread keeps a reference until that is
    over.
    """

    __slots__ = ("_addresses", "_tracker")

    def __init__(self, tracker: Any, addresses: dict[str, int]) -> None:
        self._tracker = tracker
        self._addresses = addresses

    def address(self, symbol: str) -> int:
        """The address of an exported symbol; KeyError for a name that was not asked for at compile time."""
        return self._addresses[symbol]


class _Engine:
    """LLVM as this process uses it: one linker, one target machine per optimization level, one disk cache."""

    def __init__(self) -> None:
        import llvmlite
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        if _FIRST_KNOWN <= llvm.llvm_version_info[0] <= _LAST_KNOWN:
            # Level 0 with the real register allocator: code as good as level 2's for loops written with explicit vectors, in a
            # third of the time. Levels above 0 (Numba's) have it anyway. An unknown option would end the process.
            llvm.set_option("legate-jit", "-optimize-regalloc")
            self.quick_level = 0
        else:
            self.quick_level = 2
        self.llvm: ModuleType = llvm
        # llvmlite's lock around LLVM; also taken when code is dropped, which our own lock does not cover.
        self.inner_lock: AbstractContextManager[None] = getattr(llvm.ffi.lib, "_lock", None) or nullcontext()
        self.triple: str = llvm.get_process_triple()
        self.cpu: str = llvm.get_host_cpu_name()
        self.features: dict[str, bool] = dict(llvm.get_host_cpu_features())
        self.feature_text = ",".join(
            ("+" if on else "-") + name for name, on in sorted(self.features.items())
        )
        self.has_vector_math = self._load_vector_math()
        self.target = llvm.Target.from_triple(self.triple)
        self.machines: dict[int, Any] = {}
        self.linker = llvm.create_lljit_compiler(self._new_machine(2))
        self.cache = KernelCache(cache_folder())
        self.linked = 0
        self.settled = False
        version = ".".join(str(part) for part in llvm.llvm_version_info)
        identity = "\n".join(
            (_FORMAT, llvmlite.__version__, version, self.triple, self.cpu, self.feature_text)
        )
        self.identity = identity.encode()

    def _load_vector_math(self) -> bool:
        """Make glibc's vector math visible to the linker for good; False on systems without it."""
        try:
            self.llvm.load_library_permanently(_VECTOR_LIBRARY)
        except RuntimeError:
            return False
        return True

    def _new_machine(self, level: int) -> Any:
        return self.target.create_target_machine(
            cpu=self.cpu, features=self.feature_text, opt=level, codemodel="jitdefault", jit=True
        )

    def machine(self, level: int) -> Any:
        """The target machine for code-generation level 0 to 3."""
        machine = self.machines.get(level)
        if machine is None:
            machine = self.machines[level] = self._new_machine(level)
        return machine

    def key(self, text: str, level: int, optimize: int) -> str:
        """The cache key: everything the object bytes depend on."""
        import hashlib  # loads OpenSSL: 5 ms that only programs that compile should pay

        hasher = hashlib.sha256(self.identity)
        hasher.update(f"\n{level}\n{optimize}\n".encode())
        hasher.update(text.encode())
        return hasher.hexdigest()

    def emit(self, text: str, level: int, optimize: int) -> bytes:
        """Object bytes of the text; raises NativeError with LLVM's message for invalid IR."""
        llvm = self.llvm
        machine = self.machine(level)
        # A context of its own lets all the types and constants of the module go away with it. The module must go
        # first, also when an error's traceback would keep it.
        with llvm.create_context() as context:
            try:
                with llvm.parse_assembly(text, context) as module:
                    module.verify()
                    if optimize:
                        self._optimize(module, machine, optimize)
                    image: bytes = machine.emit_object(module)
            except RuntimeError as error:
                raise NativeError(str(error), text) from None
        return image

    def settle(self) -> None:
        """Before a fork: wait for other threads to leave LLVM, or the child would find it half-way and locked."""
        _lock.acquire()
        self.inner_lock.__enter__()
        self.settled = True

    def resume(self) -> None:
        """After a fork, on both sides: let compiles go on."""
        if not self.settled:  # made by another thread while this one was already forking
            return
        self.settled = False
        self.inner_lock.__exit__(None, None, None)
        _lock.release()

    def _optimize(self, module: Any, machine: Any, optimize: int) -> None:
        """Run LLVM's own pipeline, loop vectorizer included, for texts that are written as scalar loops."""
        options = self.llvm.create_pipeline_tuning_options(speed_level=optimize)
        options.loop_vectorization = True
        options.slp_vectorization = True
        builder = self.llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)

    def link(self, image: bytes, symbols: tuple[str, ...], text: str) -> NativeCode:
        """Load object bytes into the process; raises NativeError if a referenced or an exported symbol is
        missing."""
        builder = self.llvm.JITLibraryBuilder().add_object_img(image).add_current_process()
        for symbol in symbols:
            builder.export_symbol(symbol)
        self.linked += 1
        try:
            tracker = builder.link(self.linker, f"native{self.linked}")
        except RuntimeError as error:
            raise NativeError(str(error), text) from None
        return NativeCode(tracker, {symbol: tracker[symbol] for symbol in symbols})


_lock = threading.Lock()


@functools.cache
def _engine() -> _Engine:
    engine = _Engine()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=engine.settle, after_in_parent=engine.resume, after_in_child=engine.resume)
    return engine


def compile_ir(text: str, symbols: tuple[str, ...], *, level: int = 2, optimize: int = 0) -> NativeCode:
    """Machine code for the LLVM IR `text`, exporting `symbols`.

    `level` (0 to 3) is the code generator's effort. `optimize` (0 to 3) first runs LLVM's IR passes, loop
    vectorizer included: 0, none, is right for texts written with explicit vectors. Raises NativeError for
    invalid IR or unresolved symbols. Objects come from the disk cache when the same text was compiled before
    on this kind of machine.
    """
    with _lock:  # compiles serialize inside LLVM anyway; the lock keeps counters and names exact
        start = time.perf_counter()
        engine = _engine()
        key = engine.key(text, level, optimize)
        image = engine.cache.load(key)
        if image is None:
            image = engine.emit(text, level, optimize)
            stats.compiles += 1
            engine.cache.store(key, image)
        else:
            stats.cache_hits += 1
        code = engine.link(image, symbols, text)
        stats.seconds += time.perf_counter() - start
    return code


def assembly(text: str, *, level: int = 2) -> str:
    """Assembly text of the LLVM IR `text` on this machine. Raises NativeError for invalid IR."""
    with _lock:
        engine = _engine()
        try:
            module = engine.llvm.parse_assembly(text)
        except RuntimeError as error:
            raise NativeError(str(error), text) from None
        out: str = engine.machine(level).emit_assembly(module)
    return out


def quick_level() -> int:
    """The cheapest `level` of `compile_ir` that gives good code for loops written with explicit vectors."""
    return _engine().quick_level


def host_triple() -> str:
    """LLVM's name of this platform, for the `target triple` line of a text."""
    return _engine().triple


@functools.cache
def has_symbol(name: str) -> bool:
    """Whether compiled code may call the external function `name` (libc, libm, vector math, the
    interpreter)."""
    return _engine().llvm.address_of_symbol(name) is not None


@functools.cache
def slow_division() -> bool:
    """Whether dividing vectors takes the host far longer than three fused multiply-adds and a comparison, which it has: 16 cycles
    against 4 on Intel's processors with AVX-512, 28 against 4 before Skylake, but 4 to 5 against 3 on AMD's since Zen 2."""
    return bool(_engine().features.get("fma")) and _engine().cpu not in _QUICK_DIVIDERS


@functools.cache
def vector_bytes() -> int:
    """Bytes of the widest vector worth using here: 64, 32 or 16. LEGATE_JIT_VECTOR_BYTES can lower it, never
    raise it."""
    features = _engine().features
    if features.get("avx512f") and features.get("avx512dq"):
        widest = 64
    elif features.get("avx2"):
        widest = 32
    else:
        widest = 16
    asked = os.environ.get("LEGATE_JIT_VECTOR_BYTES", "")
    if not asked:
        return widest
    if asked not in ("16", "32", "64"):
        raise ValueError(f"LEGATE_JIT_VECTOR_BYTES must be 16, 32 or 64, not {asked!r}")
    return min(widest, int(asked))
