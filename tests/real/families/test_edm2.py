"""EDM2 pickles: what its layers preserve, and small networks from file to validation."""

import inspect
import math
import pickle

import pytest
import torch

from real.checkpoints import load
from real.families.edm import loader as edm
from real.families.edm2 import loader as edm2
from real.families.edm2 import unet as edm2_unet
from real.files.network_pickles import PickledObject
from tests.real import tiny_pipelines
from tests.real.stored_networks import (
    Persistent,
    calibrates_and_validates,
    install_persistence,
    persistent,
    random_state,
    stored,
)
from tests.refusals import refusal
from theory.diffusion.targets import DATA

KWARGS = {
    "img_resolution": 8, "img_channels": 2, "label_dim": 3, "use_fp16": True, "sigma_data": 0.5,
    "logvar_channels": 16, "model_channels": 8, "channel_mult": [1, 2], "num_blocks": 1,
    "attn_resolutions": [4], "channels_per_head": 8, "dropout": 0.1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _persistence(monkeypatch):
    install_persistence(monkeypatch)


def test_what_a_file_does_not_say_is_as_in_the_published_code():
    """training/networks_edm2.py of NVlabs/edm2, Block and UNet."""
    style = edm2_unet.MPBlockStyle()
    assert (style.resample_filter, style.channels_per_head) == ((1, 1), 64)
    assert (style.res_balance, style.attn_balance, style.clip_act) == (0.3, 0.3, 256)
    of_unet = inspect.signature(edm2_unet.MPUNet).parameters
    told = {name: p.default for name, p in of_unet.items() if p.default is not p.empty}
    assert told == {
        "model_channels": 192, "channel_mult": (1, 2, 3, 4), "channel_mult_noise": None,
        "channel_mult_emb": None, "num_blocks": 3, "attn_resolutions": (16, 8), "label_balance": 0.5,
        "concat_balance": 0.5, "style": style,
    }  # fmt: skip


def small(dtype=torch.float32, **changes):
    """The object to pickle, and its state."""
    kwargs = KWARGS | changes
    with torch.device("meta"):
        network = edm2._build(
            PickledObject("Precond", (), kwargs, {str(i): torch.empty(0) for i in range(99)})
        )
    state = {k: v.to(dtype) for k, v in random_state(network, scale=1.0).items()}
    return persistent(network, "Precond", kwargs, state), state


def loaded(tmp_path, **options):
    ema, _ = small(**options)
    return edm2.load(stored(tmp_path / "x.pkl", ema=ema, encoder=None), "cpu")


@pytest.fixture(scope="module")
def noisy():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 2, 8, 8, generator=generator), torch.tensor([0.05, 0.7, 20.0])


@pytest.mark.parametrize("options", [{}, {"dtype": torch.float16}, {"label_dim": 0}])
def test_small_networks_load_calibrate_and_validate(tmp_path, options):
    ema, state = small(**options)
    source = stored(tmp_path / "network.pkl", ema=ema)
    assert edm2.FAMILY.recognizes(source)
    assert not edm.FAMILY.recognizes(source)
    assert source.content["ema"].state.keys() == state.keys()
    checkpoint = edm2.load(source, "cpu")
    assert (checkpoint.shape, checkpoint.target) == ((2, 8, 8), DATA)
    assert (
        checkpoint.conditions == checkpoint.null_condition == (options.get("label_dim", 3) or None)
    )
    assert (checkpoint.schedule.t_min, checkpoint.schedule.t_max) == (0.002, 80)
    calibrates_and_validates(checkpoint)


def test_prediction_is_the_preconditioned_network(tmp_path, noisy):
    checkpoint, (x, t) = loaded(tmp_path), noisy
    unet, label = checkpoint.modules["denoiser"].unet, torch.tensor([2, 0, 1])
    denoised = checkpoint.predict(x, t, label)
    for i, s in enumerate(t.tolist()):
        total = s**2 + 0.25
        raw = unet(x[i : i + 1] / math.sqrt(total), torch.tensor([math.log(s) / 4]),
                   torch.eye(3)[label[i : i + 1]])  # fmt: skip
        expected = 0.25 / total * x[i] + s / 2 / math.sqrt(total) * raw[0]
        assert torch.allclose(denoised[i], expected, atol=1e-5)
    assert not torch.allclose(checkpoint.predict(x, t), denoised, atol=1e-3)
    assert torch.equal(checkpoint.predict(x, t, torch.full((3,), 3)), checkpoint.predict(x, t))


def rms(x):
    return float(x.detach().square().mean().sqrt())


def test_layers_preserve_magnitude():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 4, 64, 16, 16, generator=generator)
    assert rms(edm2_unet.mp_silu(a)) == pytest.approx(1, abs=0.02)
    assert rms(edm2_unet.mp_sum(a, b, 0.3)) == pytest.approx(1, abs=0.02)
    assert rms(edm2_unet.mp_cat(a, b[:, :16], 0.5)) == pytest.approx(1, abs=0.02)
    assert rms(edm2_unet.unit_magnitude(7 * a, 1)) == pytest.approx(1, abs=0.001)
    layer = edm2_unet.MPConvolution(64, 64, 3)
    layer.weight.data = 5 * torch.randn(layer.weight.shape, generator=generator)
    assert rms(layer(a)[:, :, 1:-1, 1:-1]) == pytest.approx(1, abs=0.05)
    assert rms(layer(a, gain=2.0)[:, :, 1:-1, 1:-1]) == pytest.approx(2, abs=0.1)
    fourier = edm2_unet.MPFourier(512)
    fourier.freqs.copy_(2 * math.pi * torch.randn(512, generator=generator))
    fourier.phases.copy_(2 * math.pi * torch.rand(512, generator=generator))
    assert rms(fourier(torch.ones(4))) == pytest.approx(1, abs=0.1)


def test_concatenation_is_weighted_by_the_balance():
    a, b = torch.ones(1, 4, 1, 1), torch.ones(1, 16, 1, 1)
    joined = edm2_unet.mp_cat(a, b, 0.25)
    assert joined[0, :4].square().sum() / joined[0, 4:].square().sum() == pytest.approx(9)
    assert joined.square().mean() == pytest.approx(1)


def test_scale_of_weights_does_not_matter_but_gains_do(tmp_path, noisy):
    checkpoint = loaded(tmp_path)
    network = checkpoint.modules["denoiser"]
    before = checkpoint.predict(*noisy)
    network.unet.out_conv.weight.data *= 10
    assert torch.allclose(checkpoint.predict(*noisy), before, atol=1e-3)
    network.unet.out_gain.data *= 2
    assert not torch.allclose(checkpoint.predict(*noisy), before, atol=1e-3)


def test_activations_are_clipped(tmp_path, noisy):
    free, clipped = loaded(tmp_path), loaded(tmp_path, clip_act=0.1)
    assert not torch.allclose(free.predict(*noisy), clipped.predict(*noisy), atol=1e-3)


def test_missing_parts_are_named(tmp_path):
    for key, message in (
        ("logvar_linear", "lacks logvar_linear.weight$"),
        ("logvar_fourier", "lacks logvar_fourier"),
    ):
        ema, _ = small()
        del ema.meta["state"]["_modules"][key]
        with refusal(message):
            edm2.load(stored(tmp_path / "x.pkl", ema=ema), "cpu")


def test_unknown_arguments_are_refused(tmp_path):
    ema, _ = small()
    ema.meta["state"]["_init_kwargs"] = KWARGS | {"magic": 1}
    with refusal(r"cannot build Precond: .*magic"):
        edm2.load(stored(tmp_path / "x.pkl", ema=ema), "cpu")


STANDARD = {"raw_mean": [5.0, 3.0, 1.0, -2.0], "raw_std": [4.0, 2.0, 1.0, 0.5]}


def on_latents(folder, name="autoencoder", **kwargs):
    """A network on latents (4, 8, 8) in a file, its autoencoder in a folder beside it."""
    folder.mkdir(exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        vae = tiny_pipelines.vae()
    vae.save_pretrained(folder / "autoencoder")
    ema, _ = small(img_channels=4)
    state = {"_init_args": (), "_init_kwargs": {"vae_name": name, **kwargs}, "_vae": None}
    encoder = Persistent("StabilityVAEEncoder", state)
    (folder / "x.pkl").write_bytes(pickle.dumps({"ema": ema, "encoder": encoder}))
    return folder / "x.pkl", vae.eval()


def test_the_autoencoder_is_called_as_upstream_calls_it(tmp_path):
    path, vae = on_latents(tmp_path, **STANDARD)
    codec = load(path).codec
    assert codec.shape == (3, 16, 16)
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean, std = (torch.tensor(STANDARD[k])[:, None, None] for k in ("raw_mean", "raw_std"))
    with torch.no_grad():
        raw = vae.encode((images + 1) / 2).latent_dist.mean
        latents = codec.encode(images)
        assert torch.allclose(latents, (raw - mean) / std * 0.5, atol=1e-5)
        pictures = vae.decode(latents / 0.5 * std + mean).sample
        assert torch.allclose(codec.decode(latents), pictures * 2 - 1, atol=1e-4)


def test_an_autoencoder_may_be_named_or_left_out(tmp_path):
    path, _ = on_latents(tmp_path / "a", name="nobody/nothing")
    with refusal(r"autoencoder nobody/nothing, .*vae in x\.json"):
        load(path)
    path.with_suffix(".json").write_text('{"vae": "autoencoder"}')
    named = load(path)
    assert named.image_shape == (3, 16, 16)
    assert set(named.modules) == {"denoiser", "vae"}
    path.with_suffix(".json").write_text('{"vae": null}')
    without = load(path)
    assert without.codec is None
    assert without.image_shape == (4, 8, 8)
    assert without.fingerprint == named.fingerprint


def test_an_encoder_of_other_than_numbers_is_refused(tmp_path):
    path, _ = on_latents(tmp_path, raw_mean=["five"])
    with refusal("expected numbers in StabilityVAEEncoder"):
        load(path)
