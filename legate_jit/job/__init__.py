"""The job that several ranks are: its guard, whether they run the same program, its consoles and notebooks."""
