"""The list of published networks."""

import json
import re

import pytest

from real.checkpoints import EMBEDDED, FAMILIES, load, registry
from real.cli import main
from real.families.checkpoint import Source
from real.families.score_sde import loader as score_sde
from theory.support.errors import InputError


def test_the_list_shows_every_network_and_what_was_tried(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(registry.REGISTRY)
    for known in registry.REGISTRY:
        line = next(line for line in lines if line.startswith(f"{known.name} "))
        for part in (known.family, known.licence, known.address, known.tried, known.target):
            assert part in line
    assert [line.split()[0] for line in lines if "full weights" in line] == [
        "digits",
        "fashion",
        "cifar10",
    ]
    assert all("by hand" in line for line in lines if "drive.google" in line)
    assert [line.split()[0] for line in lines if "a mirror" in line] == ["stable-diffusion-2.1"]


def test_entries_are_sound():
    names = [known.name for known in registry.REGISTRY]
    assert len(set(names)) == len(names)
    assert set(EMBEDDED) <= set(names)
    for known in registry.REGISTRY:
        if known.address == "shipped":
            assert known.name in EMBEDDED
        elif not known.address.startswith("https://"):
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", known.address)
        if known.digest:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", known.digest)


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_shipped_networks_entry_is_what_loads(name):
    known, checkpoint = registry.NAMED[name], load(name)
    assert checkpoint.shape == known.shape
    assert checkpoint.target.name == known.target
    source = Source(name, EMBEDDED[name])
    found = next(family for family in FAMILIES if family.recognizes(source))
    assert found.name == known.family


def test_each_column_of_the_list_is_what_its_heading_says(capsys):
    main(["list"])
    heading, *rows = (re.split(r" {2,}", line) for line in capsys.readouterr().out.splitlines())
    assert " ".join(heading) == "name family shape schedule target licence tried with address"
    for known, row in zip(registry.REGISTRY, rows, strict=True):
        shape = "x".join(map(str, known.shape))
        told = [known.name, known.family, shape, known.schedule, known.target, known.licence]
        assert row[:-1] == [*told, known.tried] and row[-1].startswith(known.address)


PUBLISHED_AT = {
    "heibox": ("ddpm", "noise", "MIT"),
    "openaipublic": ("guided", "noise", "MIT"),
    "nvidia.com/edm/": ("edm", "data", "CC BY-NC-SA 4.0"),
    "nvidia.com/edm2/": ("edm2", "data", "CC BY-NC-SA 4.0"),
    "drive.google.com/drive/folders": ("score_sde", None, "Apache-2.0"),
    "google/ddpm": ("diffusers-unet", "noise", "Apache-2.0"),
    "shipped": ("diffusers-unet", "noise", "Apache-2.0"),
}
"""Family, target and licence of what lies there."""


def test_entries_agree_with_where_they_are_published_and_with_their_names():
    for known in registry.REGISTRY:
        for place, (family, target, licence) in PUBLISHED_AT.items():
            if place in known.address:
                assert (known.family, known.licence) == (family, licence), known.name
                assert target in (None, known.target), known.name
        told = re.search(r"(?:img|imagenet|ffhq|celebahq|church|bedroom|2)-?(\d+)\b", known.name)
        if known.target != "noise" and known.family == "score_sde":
            assert known.schedule.startswith("VE"), known.name
        if "cifar10" in known.name:
            assert known.shape == (3, 32, 32), known.name
        elif told:
            assert known.shape == (3, int(told[1]), int(told[1])), known.name
        elif re.search("bedroom|cat|church|horse", known.name):
            assert known.shape == (3, 256, 256), known.name


def test_what_is_fetched_by_hand_says_so():
    with pytest.raises(
        InputError,
        match=r"ddim-celeba is fetched by hand: save it from https://\S+, then name the file$",
    ):
        load("ddim-celeba")


SCHEDULES = {"VE": "vesde", "VE, 1000": "vesde", "VP linear": "vpsde", "linear, 1000": "vpsde",
             "sub-VP": "subvpsde"}  # fmt: skip


BY_HAND = [known for known in registry.REGISTRY if known.family == "score_sde"]


def test_settings_that_weights_do_not_tell_are_given_with_the_name():
    """By name, every published network is one preset, and no two are the same one."""
    for known in BY_HAND:
        with pytest.raises(InputError, match=f"{known.name} is fetched by hand") as caught:
            load(known.name)
        message, name = str(caught.value), known.name
        told = re.search(rf"as {name}\.pth, write (\{{.*\}}) as {name}\.json beside it", message)
        if known.target == "score":
            assert "write" not in message
            continue
        settings = score_sde.PRESETS[json.loads(told[1])["config"]]
        assert settings.sde == SCHEDULES[known.schedule], name
        assert settings.continuous == (known.schedule != "linear, 1000"), name
        assert settings.network["image_size"] == known.shape[1], name


def test_no_two_names_have_the_same_preset_or_address():
    named = [known.beside for known in registry.REGISTRY if known.beside]
    addresses = [known.address for known in registry.REGISTRY if known.address != "shipped"]
    assert len(set(named)) == len(named) == 8
    assert len(set(addresses)) == len(addresses)
