"""The `legate-jit` command: running a program with dumps and debugging switched on, and how each compiler stage reads as text."""
