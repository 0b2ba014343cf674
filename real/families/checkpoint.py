"""What every family of checkpoint is loaded into, and what a family is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import Target
from theory.forward.network import Network, Predict


@dataclass(frozen=True)
class Codec:
    """How images become the latents that a network works on, and back.

    Attributes:
        shape: (c, h, w) of the images.
        encode: images (b, *shape) in [-1, 1] -> latents, deterministic (the posterior's mean).
        decode: latents -> images in [-1, 1].
        fingerprint: digest of its weights and scale.
    """

    shape: tuple[int, ...]
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    fingerprint: str


@dataclass(frozen=True)
class Checkpoint:
    """A pretrained network, ready to be called.

    Attributes:
        reference: where it came from, as the user named it.
        family: name of the family that it was recognized as.
        predict: predict(x_t, t, condition=None) -> y, in the dtype and on the device of x_t.
        schedule, target, shape: what it was trained for; the shape is that of what it predicts,
            which is a latent where there is a codec.
        conditions: number of classes (conditions are then integer labels (b,)), ``"text"``
            (conditions are then b strings), or None if unconditional.
        null_condition: the label or text that stands for no condition, if it knows one.
        fingerprint: digest of its weights and architecture.
        scheduler_config: diffusers scheduler configuration that came with it; {} if none did.
        codec: how images become latents; None for a network on pixels.
        modules: the networks by name, such as {"unet": ...}, for those who change their weights.
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

    @property
    def network(self) -> Network:
        """The network as it is measured."""
        return Network(self.predict, self.schedule, self.target)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(c, h, w) of the images that it is calibrated with."""
        return self.codec.shape if self.codec else self.shape


@dataclass(frozen=True)
class Source:
    """A checkpoint on disk before it is known of what family it is.

    Attributes:
        reference: as the user named it.
        path: the folder or file.
        content: of a file, what was read from it without running code; None for a folder.
        sidecar: the JSON object beside a file (NAME.json), or {}.
    """

    reference: str
    path: Path
    content: Any = None
    sidecar: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """One on-disk format.

    Attributes:
        name: as ``--family`` takes it.
        recognizes: whether a source is of this family, told from its content, never its name.
        load: the checkpoint, on a device.
    """

    name: str
    recognizes: Callable[[Source], bool]
    load: Callable[[Source, Any], Checkpoint]
