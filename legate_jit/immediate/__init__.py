"""What is computed when it is called, not recorded: small calls, moving slices, shapes that depend on values."""
