"""Reports: data become numbers, numbers a figure, both a page; ``page`` does it for all of them.

Imports calibrated, quality and every room below; experiments write their reports the same way.
"""
