"""Arrays over ranks: how they lie, who sends what to whom, and a rank's own part of a graph."""
