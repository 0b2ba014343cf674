"""A network that fails when it is called says so in one line, as its file may be the cause."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from real.families.checkpoint import Checkpoint
from theory.support.errors import InputError, one_line_with_type
from theory.support.memory import is_out_of_memory


def telling(checkpoint: Checkpoint) -> Checkpoint:
    """The same checkpoint, whose errors name it; lack of memory stays what it is."""

    def named(call: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """The call with its errors named."""

        def result(x: Tensor, *arguments: object) -> Tensor:
            """What the call returns."""
            try:
                return call(x, *arguments)
            except Exception as error:
                if isinstance(error, InputError) or is_out_of_memory(error):
                    raise
                raise InputError(
                    f"checkpoint: {checkpoint.reference} fails, called with {tuple(x.shape)}: "
                    f"{one_line_with_type(error)}"
                ) from error

        return result

    codec = checkpoint.codec
    if codec:
        codec = replace(codec, encode=named(codec.encode), decode=named(codec.decode))
    predict = named(checkpoint.predict)

    def shaped(x_t: Tensor, t: Tensor, condition: object = None) -> Tensor:
        """The prediction, if it has the shape of x_t."""
        y = predict(x_t, t, condition)
        if y.shape != x_t.shape:
            raise InputError(
                f"checkpoint: {checkpoint.reference}: expected a prediction of shape "
                f"{tuple(x_t.shape)}, got {tuple(y.shape)}"
            )
        return y

    return replace(checkpoint, predict=shaped, codec=codec)
