"""Messages between ranks: algorithms on them, and the ways in which they travel. Knows no windows."""
