"""Files that others wrote, read without running code: JSON, pickles, torch files, downloads.

Imports ``theory`` only.
"""
