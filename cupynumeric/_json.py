"""Scalars in JSON: `json.dumps({"loss": x.mean()})` writes a number, as it does with NumPy's float64, a kind of Python float.

Ours is none, so the encoder asks its `default` about it, which is replaced by one that knows our scalars; whatever else comes
there has the encoder's own answer. Encoders with a `default` of their own are as they were.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np

from cupynumeric._array import SCALAR, Ours

_default = json.JSONEncoder.default


@functools.wraps(_default)
def _number(self: json.JSONEncoder, o: Any) -> Any:
    if not isinstance(o, Ours) or o.shape or o._locked != SCALAR:
        return _default(self, o)
    if o.dtype == np.float64:
        return float(o)
    raise TypeError(f"Object of type {o.dtype.type.__name__} is not JSON serializable")


json.JSONEncoder.default = _number  # type: ignore[method-assign]
