"""Targets: turn kernels and schedules (as data) into work done on a machine."""
