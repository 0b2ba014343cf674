"""Published files are fetched once, and are what was published."""

import hashlib
import shutil
from urllib.error import URLError

import pytest
import torch

from real.files.published_files import fetch
from tests.refusals import refusal
from theory.support.errors import InputError

ADDRESS = "https://example.org/network.pt"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file as if it were at ADDRESS; the list of what was downloaded."""
    origin, downloads = tmp_path / "origin.pt", []
    origin.write_bytes(b"some weights")

    def copied(address, path):
        downloads.append(address)
        shutil.copy(origin, path)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", copied)
    return origin, downloads


def digest_of(path, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_file_is_fetched_once_and_verified_each_time(published, algorithm):
    origin, downloads = published
    digest = digest_of(origin, algorithm)
    path = fetch("small", ADDRESS, digest)
    assert fetch("small", ADDRESS, digest) == path
    assert path.read_bytes() == origin.read_bytes()
    assert downloads == [ADDRESS]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=f"expected {algorithm} .*delete it to fetch it again"):
        fetch("small", ADDRESS, digest)


def test_a_file_of_another_digest_is_refused_and_not_kept(tmp_path, published):
    with refusal(f"expected sha256 {'0' * 64} of {ADDRESS}, got"):
        fetch("small", ADDRESS, f"sha256:{'0' * 64}")
    assert not [path for path in (tmp_path / "hub").rglob("*") if path.is_file()]


@pytest.mark.parametrize("error", [URLError("no name"), TimeoutError("late"), OSError("cut off")])
def test_no_connection_is_one_line_and_leaves_nothing(tmp_path, published, monkeypatch, error):
    def unreachable(address, path):
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with refusal("cannot be reached"):
        fetch("small", ADDRESS, None)
    assert not [path for path in (tmp_path / "hub").rglob("*") if path.is_file()]
