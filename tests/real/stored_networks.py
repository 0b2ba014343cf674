"""Small networks with random weights, and the files that published code would store them in."""

import pickle
import sys
import types
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

from real.families.checkpoint import Checkpoint, Source
from real.families.resampling import separable
from real.files.network_pickles import unpickle
from theory.calibration.procedure import calibrate
from theory.calibration.validation import validate


def random_state(network: nn.Module, seed: int = 0, scale: float = 0.2) -> dict[str, torch.Tensor]:
    """Random tensors in the shapes of a network's; its resampling filters are what they must be."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, tensor in network.state_dict().items():
        state[name] = scale * torch.randn(tensor.shape, generator=generator)
        if name.endswith("resample_filter"):
            state[name] = separable((1, 1) if tensor.shape[-1] == 2 else (1, 3, 3, 1))
    return state


class Persistent:
    """Pickles as an instance of a persistent class of that name does."""

    def __init__(self, class_name, state):
        self.meta = {
            "type": "class", "version": 6, "module_src": "", "class_name": class_name,
            "state": state,
        }  # fmt: skip

    def __reduce__(self):
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


def install_persistence(monkeypatch) -> None:
    """Modules by the names that published pickles refer to, so that such pickles can be written."""

    def _reconstruct_persistent_obj(meta):
        raise RuntimeError("a test unpickled it for real")

    class EasyDict(dict):
        pass

    for name, thing in (
        ("torch_utils.persistence", _reconstruct_persistent_obj),
        ("dnnlib.util", EasyDict),
    ):
        thing.__module__, thing.__qualname__ = name, thing.__name__
        package, module = types.ModuleType(name.split(".")[0]), types.ModuleType(name)
        setattr(module, thing.__name__, thing)
        monkeypatch.setitem(sys.modules, package.__name__, package)
        monkeypatch.setitem(sys.modules, name, module)


def persistent(module: nn.Module, class_name: str, kwargs=None, tensors=None, prefix=""):
    """A module and its parts as persistent objects, holding given tensors instead of its own."""
    tensors = tensors or {}
    parts = {
        name: part and persistent(part, type(part).__name__, None, tensors, f"{prefix}{name}.")
        for name, part in module._modules.items()
    }
    if isinstance(module, nn.ModuleDict):
        stored = nn.ModuleDict()
        stored._modules = parts
        return stored

    def held(own, wrap):
        filled = {
            k: None if v is None else wrap(tensors.get(prefix + k, v)) for k, v in own.items()
        }
        return {k: v for k, v in filled.items() if prefix + k not in tensors.get("left out", ())}

    state = {
        "training": False,
        "_parameters": held(module._parameters, lambda t: nn.Parameter(t, requires_grad=False)),
        "_buffers": held(module._buffers, lambda t: t),
        "_non_persistent_buffers_set": set(),
        "_forward_hooks": OrderedDict(),
        "_modules": parts,
        "_init_args": (),
        "_init_kwargs": kwargs or {},
    }
    return Persistent(class_name, state)


def source(path: Path, content=None, **sidecar) -> Source:
    """As the dispatcher would make it; without content the file is unpickled."""
    return Source(str(path), path, unpickle(path) if content is None else content, sidecar)


def stored(path: Path, **content) -> Source:
    """The dictionary pickled to a file, and read back."""
    path.write_bytes(pickle.dumps(content))
    return source(path)


def calibrates_and_validates(checkpoint: Checkpoint, n_times: int = 3) -> None:
    """End to end on random images, as for a real network."""
    generator = torch.Generator().manual_seed(7)
    images = torch.rand(40, *checkpoint.shape, generator=generator) * 2 - 1
    with torch.no_grad():
        calibration = calibrate(
            checkpoint.predict, checkpoint.schedule, target=checkpoint.target, images=images[:32],
            times=checkpoint.schedule.grid(n_times + 2)[1:-1], seed=0,
        )  # fmt: skip
        result = validate(checkpoint.predict, calibration, images=images, seed=1)
    assert calibration.shape == checkpoint.shape
    assert (result.n, result.left_out) == (8, 32)
    assert all(loss.value >= 0 for loss in result.loss())
