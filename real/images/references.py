"""What may name images. Imports nothing heavy, so that a wrong name is refused at once."""

from pathlib import Path

from theory.support.errors import InputError
from theory.support.output import exists

DIGITS = "digits"
TORCHVISION_SETS = ("mnist", "fashion-mnist", "cifar10", "celeba")
HUB = "hub:"
LATENTS = ".safetensors"
"""How the name of a file of latents ends."""

FILES = (".npz", ".zip", ".jsonl", LATENTS)


def require_images(reference: str) -> None:
    """Require that a reference names a set, a folder, or a file of a known kind.

    Raises:
        InputError: it names none of these.
    """
    if reference in (DIGITS, *TORCHVISION_SETS) or reference.startswith(HUB):
        return
    path = Path(reference)
    if not exists(path):
        missing = ", which does not exist"
    elif path.is_dir() or (path.is_file() and path.suffix.lower() in FILES):
        return
    else:
        missing = ""
    raise InputError(
        f"data: expected 'digits', a folder, an .npz, .zip, .jsonl or .safetensors file, "
        f"{', '.join(TORCHVISION_SETS)} or hub:ID, got {reference!r:.200}{missing}"
    )
