"""What every module may use: errors, argument checks, command lines, output files.

Imports nothing of the toolkit.
"""
