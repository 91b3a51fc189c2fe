"""Windows whose arrays are dealt out to ranks."""
