"""Architectures that no maintained library offers, and maps onto those that one does."""
