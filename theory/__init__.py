"""The mathematics: schedules, targets, proofs, moments, calibration. No files, no plots."""
