"""How the arguments of a launch are cut over its points."""
