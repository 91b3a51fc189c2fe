"""Machine code that records operations, and what it knows of CPython's objects."""
