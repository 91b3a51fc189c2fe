"""legate-jit: a lazy dataflow compiler behind the `cupynumeric` and `legate` faces."""

from legate_jit.process import interpreter

__version__ = "0.1.0"

interpreter.check()
