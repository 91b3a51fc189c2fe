"""The intermediate representation: pure data and pure functions; knows no I/O, no device, no runtime state."""
