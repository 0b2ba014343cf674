"""EDM2 networks and their loader."""
