"""Real image networks: load, calibrate, validate, sample, report."""
