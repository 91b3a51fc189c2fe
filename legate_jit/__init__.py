"""legate-jit: a lazy dataflow compiler behind the `cupynumeric` and `legate` faces."""

__version__ = "0.1.0"
