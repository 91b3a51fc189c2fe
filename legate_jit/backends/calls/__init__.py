"""Library calls on NumPy arrays, and the loops by hand that some of them are."""
