"""Untrusted files read without running code: JSON, pickles, torch files, downloads.

Imports ``theory`` only.
"""
