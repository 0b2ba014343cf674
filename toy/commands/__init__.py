"""The subcommands of ``python -m toy``: each parses its arguments at once and imports what it needs later.

Imports every other room.
"""
