"""The threads that run kernels, and memory by which processes meet: concurrent machine code and its entry points."""
