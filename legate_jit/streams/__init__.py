"""NumPy's streams of random numbers in parts: any part of a draw, by whoever wants it, with NumPy's numbers and state after it.

Knows NumPy's generators; no stores and no faces.
"""
