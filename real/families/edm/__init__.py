"""EDM networks and their loader."""
