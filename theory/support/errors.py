"""Errors that a user can cause. Programs print their one line and leave with status 2."""


class InputError(ValueError):
    """What was given cannot be used; the message says what was expected and what came."""


class NonFiniteError(InputError):
    """A network returned NaN or infinity; the message names the time."""
