"""Algorithms in which ranks exchange amounts that depend on the data: NumPy on a rank's parts, and a `Comm`.

Every rank calls the same functions in the same order. They know no graphs and no stores.
"""
