"""A drop-in NumPy whose operations are lazy: `import cupynumeric as np`.

Names that are not ours come from NumPy: constants, dtypes and exceptions as they are, functions through the fallback of
`_fallback`, with the documented warning.
"""

from __future__ import annotations

from typing import Any

import numpy as _numpy

from cupynumeric._array import ndarray  # first: the modules below build on it

from cupynumeric import _advanced as _advanced  # isort: skip
from cupynumeric import _attributes as _attributes
from cupynumeric import _convert as _convert
from cupynumeric import _creation as _creation
from cupynumeric import _fallback, _prompt, _replay
from cupynumeric import _files as _files
from cupynumeric import _flat as _flat
from cupynumeric import _json as _json
from cupynumeric import _native as _native
from cupynumeric import _protocols as _protocols
from cupynumeric import _shape as _shape
from cupynumeric._advanced import *  # noqa: F403
from cupynumeric._applied import *  # noqa: F403
from cupynumeric._creation import *  # noqa: F403
from cupynumeric._einsum import *  # noqa: F403
from cupynumeric._files import *  # noqa: F403
from cupynumeric._hosted import *  # noqa: F403
from cupynumeric._iterating import *  # noqa: F403
from cupynumeric._joining import *  # noqa: F403
from cupynumeric._logic import *  # noqa: F403
from cupynumeric._math import *  # noqa: F403
from cupynumeric._matrices import *  # noqa: F403
from cupynumeric._methods import ArrayMethods as _ArrayMethods
from cupynumeric._nan import *  # noqa: F403
from cupynumeric._padding import *  # noqa: F403
from cupynumeric._products import *  # noqa: F403
from cupynumeric._ranges import *  # noqa: F403
from cupynumeric._reductions import *  # noqa: F403
from cupynumeric._shape import *  # noqa: F403
from cupynumeric._sorting import *  # noqa: F403
from cupynumeric._statistics import *  # noqa: F403
from cupynumeric._ufunc import *  # noqa: F403
from cupynumeric._vectorize import *  # noqa: F403
from cupynumeric.settings import settings as settings

_SUBMODULES = ("linalg", "fft", "random", "ndimage")

_replay.install(globals(), _ArrayMethods)
_prompt.install(globals(), _prompt.LIBRARY, _numpy)
_prompt.install(globals(), _prompt.WATCHED, _numpy, _prompt.watched)
_fallback.register_modules()
if _fallback.coverage.active:
    _fallback.coverage.install(globals(), ndarray)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        from importlib import import_module

        return import_module(f"cupynumeric.{name}")
    if name.startswith("__") and name not in (
        "__version__",
        "__array_api_version__",
        "__array_namespace_info__",
    ):
        raise AttributeError(f"module 'cupynumeric' has no attribute {name!r}")
    found = _fallback.top_level(name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    theirs = {n for n in dir(_numpy) if not n.startswith("_")}
    ours = {n for n in globals() if not n.startswith("_")} - {"annotations", "Any"}
    return sorted(theirs | ours | set(_SUBMODULES) | {"__version__"})


__all__ = [n for n in _numpy.__all__ if not n.startswith("_")]

from cupynumeric import _threads as _threads  # noqa: E402  last: it looks at every name above
