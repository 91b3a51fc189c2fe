"""Interfaces that may still change: `legate.core.experimental.io`."""
