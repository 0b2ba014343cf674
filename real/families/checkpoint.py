"""``Checkpoint``, which every family loads into, and ``Family``, a format of files or folders."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import Target
from theory.forward.network import Network, Predict
from theory.support.errors import InputError

LARGEST_SIDE = 2**13
"""No image has a longer side, in pixels; other sizes that a file names would only take memory."""


@dataclass(frozen=True)
class Codec:
    """Images to what a network works on, and back: an autoencoder, or a range of pixels.

    Attributes:
        shape: (c, h, w) of the images.
        encode: images (b, *shape) in [-1, 1] -> latents; deterministic (the posterior's mean).
        decode: latents -> images in [-1, 1].
        fingerprint: digest of the autoencoder's weights and scale, or the range.
        data_range: of what the network works on; None if it has none, as latents.
    """

    shape: tuple[int, ...]
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    fingerprint: str
    data_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A pretrained network, ready to be called.

    Attributes:
        reference: the name by which the user referred to it.
        family: name of its family.
        predict: predict(x_t, t, condition=None) -> y, in the dtype and on the device of x_t.
        schedule, target: the noise schedule and the prediction target that it was trained for.
        shape: (c, h, w) of its predictions; of a latent where there is a codec.
        conditions: number of classes (conditions are then integer labels (b,)), ``"text"``
            (conditions are then b strings), or None if unconditional.
        null_condition: the label or text that stands for no condition; None if there is none.
        fingerprint: digest of its weights and architecture.
        scheduler_config: configuration of its diffusers scheduler; {} if it has none.
        codec: the autoencoder of a network on latents; None for a network on pixels.
        modules: its networks by name, such as {"unet": ...}, for those who change their weights.
        notes: what was assumed to load it, a line each.
    """

    reference: str
    family: str
    predict: Predict
    schedule: Schedule
    target: Target
    shape: tuple[int, ...]
    conditions: int | Literal["text"] | None
    fingerprint: str
    null_condition: int | str | None = None
    scheduler_config: Mapping[str, Any] = field(default_factory=dict)
    codec: Codec | None = None
    modules: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def network(self) -> Network:
        """The network as it is measured."""
        return Network(self.predict, self.schedule, self.target)

    @property
    def data_range(self) -> tuple[float, float]:
        """(low, high) of what the network works on.

        Raises:
            InputError: latents, which have none.
        """
        found = self.codec.data_range if self.codec else (-1.0, 1.0)
        if found is None:
            raise InputError(f"range: {self.reference} works on latents, which have no range")
        return found

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(c, h, w) of the images that the network is calibrated with."""
        return self.codec.shape if self.codec else self.shape


@dataclass(frozen=True)
class Source:
    """A checkpoint on disk whose family is not known yet.

    Attributes:
        reference: the name by which the user referred to it.
        path: the folder or file.
        content: what was read from a file without running code; None for a folder.
        sidecar: the JSON object in NAME.json beside a file; {} if there is none.
    """

    reference: str
    path: Path
    content: Any = None
    sidecar: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """One format of files or folders.

    Attributes:
        name: as ``--family`` takes it.
        recognizes: whether a source is of this family, by its content and never by its name.
        load: loads the checkpoint onto a device.
    """

    name: str
    recognizes: Callable[[Source], bool]
    load: Callable[[Source, Any], Checkpoint]
