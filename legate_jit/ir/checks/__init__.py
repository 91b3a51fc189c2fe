"""What every pass must keep."""
