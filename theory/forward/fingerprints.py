"""Who is who: fingerprints of images and of arrays, so that nothing is confused silently."""

import hashlib
from collections import Counter
from collections.abc import Iterable

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def image_ids(images: Float[Tensor, "b *shape"]) -> Int64[Tensor, "b"]:
    """A 64-bit identity of each image (b, *shape) from its values in float32, int64 (b,)."""
    rows = images.to("cpu", torch.float32).contiguous().numpy()
    digests = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows]
    identities = [int.from_bytes(d, "big", signed=True) for d in digests]
    return torch.tensor(identities, dtype=torch.int64)


COPY = 0x9E3779B97F4A7C15 - 2**64
"""Between the numbers of two copies of an image: odd, and no difference of identities but by chance."""


def numbered(ids: Int64[Tensor, "n"], before: Counter[int] | None = None) -> Int64[Tensor, "n"]:
    """A number of its own for each image: its identity, or further on for its second and later copies.

    Args:
        ids: identities, in the order in which copies are counted.
        before: how many images of each identity came before; those of ``ids`` are added to it.
    """
    count, copies = Counter() if before is None else before, []
    for identity in ids.tolist():
        copies.append(count[identity])
        count[identity] += 1
    return ids + COPY * torch.tensor(copies, dtype=torch.int64)


def fingerprint(parts: Iterable[tuple[str, Tensor]], *texts: str) -> str:
    """Hexadecimal digest of named tensors (values, shapes, dtypes) and of texts."""
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(text.encode() + b"\0")
    for name, tensor in sorted(parts):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
