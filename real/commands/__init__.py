"""The commands of ``python -m real``: one module each, with ``add`` (arguments) and ``run``."""
