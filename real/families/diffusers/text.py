"""The text encoders of a diffusers pipeline folder, from transformers (an optional dependency)."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from real.families.conditions import Encoding
from real.families.diffusers.folder import model_index, quiet, read_part
from real.families.diffusers.half_weights import keep_halves
from real.families.diffusers.tokenizer_files import muted, require_plausible_tokenizer
from theory.support.errors import InputError, refusing

TOKENIZERS = {
    "CLIPTextModel": "CLIPTokenizer",
    "CLIPTextModelWithProjection": "CLIPTokenizer",
    "T5EncoderModel": "T5TokenizerFast",
}
"""The known classes of text encoders, and those of their tokenizers."""


def load_text_parts(folder: Path, device: Any) -> dict[str, Any]:
    """The encoders and tokenizers that model_index.json names, for a pipeline's constructor.

    An encoder that is named [null, null] is None.

    Raises:
        InputError: transformers is not installed, an encoder is of an unknown class, or an encoder
            or a tokenizer is broken.
    """
    parts: dict[str, Any] = {}
    for part, encoder in named_encoders(folder).items():
        tokenizer = part.replace("text_encoder", "tokenizer")
        parts[part] = encoder and _encoder(encoder, folder / part, device)
        parts[tokenizer] = encoder and _tokenizer(TOKENIZERS[encoder], folder / tokenizer)
    return parts


def named_encoders(folder: Path) -> dict[str, str | None]:
    """The class of each text encoder that model_index.json names; None for one that is absent.

    Raises:
        InputError: transformers is not installed, there is no encoder, or one is of an unknown
            class.
    """
    if find_spec("transformers") is None:
        raise InputError(
            "checkpoint: a text-conditional network needs the transformers library: "
            'pip install "diffusion-martingale[text]"'
        )
    index = model_index(folder)
    named = {part: _class(index[part]) for part in index if part.startswith("text_encoder")}
    if not any(named.values()):
        raise InputError(f"checkpoint: expected text encoders in {folder / 'model_index.json'}")
    for part, name in named.items():
        if name and name not in TOKENIZERS:
            raise InputError(
                f"checkpoint: expected a text encoder {', '.join(TOKENIZERS)} in {folder / part}, "
                f"got {name}"
            )
    return named


def encoded(pipeline: Any, device: Any, *texts: str) -> Encoding:
    """The sequence and the pooled vector of a text, as a pipeline of two text encoders or more makes them.

    The text is repeated for each of the pipeline's prompts.
    """
    with quiet():
        sequence, _, pooled, _ = pipeline.encode_prompt(
            *texts, device=device, do_classifier_free_guidance=False
        )
    return sequence, pooled


def text_modules(parts: dict[str, Any]) -> dict[str, Any]:
    """The encoders among the parts, without those that are absent."""
    return {k: part for k, part in parts.items() if k.startswith("text_encoder") and part}


def _class(entry: Any) -> str | None:
    """The class that a [library, class] of model_index.json names."""
    return entry[1] if isinstance(entry, list) and len(entry) == 2 else None


def _encoder(name: str, folder: Path, device: Any) -> Any:
    import transformers

    with _quiet_transformers():
        network = read_part(getattr(transformers, name), folder)[0]
    keep_halves(network, device)
    return network


def _tokenizer(name: str, folder: Path) -> Any:
    import transformers

    require_plausible_tokenizer(folder)
    with (
        refusing(f"checkpoint: cannot load the tokenizer in {folder}"), _quiet_transformers(), muted()
    ):  # fmt: skip
        tokenizer = getattr(transformers, name).from_pretrained(folder, local_files_only=True)
        tokenizer("a photo")
    return tokenizer


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Silence the logs and progress bars of both libraries: what matters is raised as an error."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with quiet():
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
