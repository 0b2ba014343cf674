"""Reports: numbers, figures and pages.

Imports what it reports on; imported by experiments and commands.
"""
