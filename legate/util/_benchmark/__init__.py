"""The parts of `legate.util.benchmark`."""
