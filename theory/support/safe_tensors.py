"""What a safetensors file says of itself, checked before its library reads it all."""

from pathlib import Path

from theory.support.errors import InputError
from theory.support.safe_reading import require_regular

MOST_TENSORS = 20_000
"""Each takes some microseconds; the largest published networks have some thousands."""

MOST_BYTES = 2**23
"""Most bytes of a header, which names the tensors."""


def require_header(path: Path, what: str, texts: int = 0) -> None:
    """Refuse a file that names far more tensors or texts than a network has.

    Args:
        path: the file.
        what: begins the message, such as ``checkpoint``.
        texts: bytes of texts that it may hold besides.

    Raises:
        InputError: it is no regular file, cannot be read, is no safetensors, or names too many.
    """
    require_regular(path, what)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > MOST_BYTES + texts:
                raise InputError(
                    f"{what}: {path} cannot be read: it names far more than a network has, or is broken"
                )
            header = file.read(length)
    except OSError as error:
        raise InputError(f"{what}: {path} cannot be read: {error.strerror}") from error
    if len(header) < length or header[:1] != b"{":
        raise InputError(f"{what}: {path} is truncated or broken safetensors")
    if header.count(b'"data_offsets"') > MOST_TENSORS:
        raise InputError(f"{what}: expected at most {MOST_TENSORS:,} tensors in {path}")
