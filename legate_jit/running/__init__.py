"""Running what was planned: native programs, library calls, points of tasks; who runs, who waits, what failed."""
