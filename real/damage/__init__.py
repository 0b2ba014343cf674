"""The old name of ``real.compress``, for users' own files."""
