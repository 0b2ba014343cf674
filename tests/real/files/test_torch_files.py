"""Hostile files of torch.save are refused in one line, before PyTorch sees them; real ones load."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from collections import Counter, OrderedDict

import pytest
import torch
from torch import nn

from real.checkpoints import load
from real.files import torch_files
from real.files.checkpoint_files import read_checkpoint_file
from real.files.torch_files import LEGACY
from tests.real.state_files import SMALL_DDPM, ddpm_state, write
from tests.refusals import refusal

BEFORE = LEGACY + b"\x80\x02M\xe9\x03." + b"\x80\x02}."
FORMS = ("zip", "legacy")


def framed(path, pickled, form, after=b"\x80\x02]."):
    """A file of torch.save around a pickle."""
    if form == "legacy":
        path.write_bytes(BEFORE + pickled + after)
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")
    return path


def number(value):
    return b"\x8a\x08" + value.to_bytes(8, "little")


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


KEY, PLACE = text("0"), text("cpu")


def storage(kind="FloatStorage", length=4, key=KEY, place=PLACE):
    given = text("storage") + f"ctorch\n{kind}\n".encode() + key + place
    return b"(" + given + number(length) + b"tQ"


def tensor(source, size=b"K\x04\x85", hooks=b"ccollections\nOrderedDict\n)R"):
    call = b"ctorch._utils\n_rebuild_tensor_v2\n"
    return call + b"(" + source + b"K\x00" + size + b"K\x01\x85\x89" + hooks + b"tR"


def parameter(of, hooks=b"ccollections\nOrderedDict\n)R"):
    return b"ctorch._utils\n_rebuild_parameter\n(" + of + b"\x89" + hooks + b"tR"


HOSTILE = {
    "hashed tuples": (b"}K\x01" + b"\x85" * 20_000 + b"K\x01s.", "neither text nor number"),
    "set of tuples": (b"cbuiltins\nset\n]K\x01" + b"\x85" * 50 + b"a\x85R.", "a set holds"),
    "bytearray": (b"cbuiltins\nbytearray\n" + number(3 << 30) + b"\x85R.", "asks for 'builtins.byte"),
    "tensor of a size": (b"ctorch\nFloatTensor\n" + number(10**9) + b"\x85R.", "asks for 'torch.Fl"),
    "untyped": (b"ctorch.storage\nUntypedStorage\n" + number(3 << 30) + b"\x85R.", "asks for"),
    "punycode": (b"c_codecs\nencode\n" + text("x") + text("punycode") + b"\x86R.", "encoded"),
    "code": (b"cos\nsystem\n" + text("id") + b"\x85R.", "asks for 'os.system'.*no code of it is run"),
    "code with a space": (b"cos path\nsystem\n" + text("id") + b"\x85R.", "asks for"),
    "values set": (b"ccollections\nOrderedDict\n)R}" + text("values") + b"K\x01sb.", "attributes"),
    "tensor's attributes": (tensor(storage()) + b"}" + text("to") + b"K\x01sb.", "attributes of"),
    "tensor's items": (tensor(storage()) + b"K\x00K\x01s.", "items of"),
    "hooks": (tensor(storage(), hooks=b"}K\x00K\x01s") + b".", "hooks"),
    "parameter's hooks": (parameter(tensor(storage()), b"}K\x00K\x01s") + b".", "parameter has hooks"),
    "parameter of none": (parameter(b"]") + b".", "parameter is no tensor"),
    "numbered place": (tensor(storage(place=number(1))) + b".", "unknown kind"),
    "numbered key": (tensor(storage(key=number(0))) + b".", "unknown kind"),
    "no storage": (tensor(b"]") + b".", "no storage"),
    "negative size": (tensor(storage(), b"J\xff\xff\xff\xff\x85") + b".", "no shape"),
    "beyond": (tensor(storage(), b"K\x05\x85") + b".", "beyond its storage"),
    "huge storage": (tensor(storage(length=10**12)) + b".", "says that it holds 4,000,000,000,000"),
    "complex": (tensor(storage("ComplexFloatStorage")) + b".", "asks for 'torch.ComplexFloat"),
    "two sizes": (b"](" + storage() + storage(length=5) + b"e.", "two sizes"),
    "missing storage": (tensor(storage(length=1), b"K\x01\x85") + b".", "missing|lacks"),
    "dimensions": (tensor(storage(), b"(" + b"K\x01" * 99 + b"t") + b".", "no shape"),
    "text as a storage": (text("0") + b"Q.", "told in another way"),
    "function as a value": (b"ctorch._utils\n_rebuild_tensor_v2\n.", "is no value"),
    "size of text": (b"ctorch\nSize\n" + text("x") + b"\x85\x85R.", "a size"),
}  # fmt: skip


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_pickles_never_reach_pytorch(tmp_path, monkeypatch, how):
    content, message = HOSTILE[how]
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("PyTorch was given the file"))
    for form in FORMS:
        with refusal(message, form):
            read_checkpoint_file(framed(tmp_path / "x.pt", b"\x80\x02" + content, form))


@pytest.mark.parametrize("form", FORMS)
def test_what_asks_for_memory_gets_none(tmp_path, form):
    for how in ("bytearray", "tensor of a size", "untyped", "huge storage"):
        path = framed(tmp_path / "x.pt", b"\x80\x02" + HOSTILE[how][0], form)
        tracemalloc.start()
        try:
            with refusal("", how):
                read_checkpoint_file(path)
            assert tracemalloc.get_traced_memory()[1] < 2e6, how
        finally:
            tracemalloc.stop()


def test_pytorch_itself_would_have_taken_them(tmp_path):
    """The control: some of these do what they ask for where nothing looks through them."""
    content = b"cbuiltins\nbytearray\nK\x07\x85R."
    with framed(tmp_path / "a.pt", b"\x80\x02" + content, "zip").open("rb") as file:
        assert torch.load(file, weights_only=True) == bytearray(7)
    content, _ = HOSTILE["values set"]
    with framed(tmp_path / "b.pt", b"\x80\x02" + content, "zip").open("rb") as file:
        assert torch.load(file, weights_only=True).values == 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("error")
def test_another_protocol_says_nothing(tmp_path, form):
    assert read_checkpoint_file(framed(tmp_path / "x.pt", b"\x80\x05}.", form)) == {}


ODD = {
    "meta": lambda: torch.zeros(3, device="meta"),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "sparse rows": lambda: torch.eye(3).to_sparse_csr(),
    "quantized": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    "complex": lambda: torch.ones(3, dtype=torch.cfloat),
    "unsigned": lambda: torch.ones(3, dtype=torch.uint16),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
}


@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_not_plain_are_refused(tmp_path):
    for kind, make in ODD.items():
        with refusal("asks for 'torch", kind):
            read_checkpoint_file(write(tmp_path / "x.pt", {"a": make()}))


def test_complex_numbers_in_safetensors_are_refused(tmp_path):
    path = write(tmp_path / "x", {"a": torch.ones(3, dtype=torch.cfloat)}, form="safetensors")
    with refusal(r"expected plain tensors.*got torch\.complex64"):
        read_checkpoint_file(path)


def directory(members):
    head = "<4s6H3L5H2L"
    return b"".join(
        struct.pack(head, b"PK\x01\x02", 20, 20, 0, method, 0, 33, crc, packed, size, len(name),
                    0, 0, 0, 0, 0, start) + name
        for name, method, crc, packed, size, start in members
    )  # fmt: skip


def two_directories(zeros):
    """A zip whose storage one reader finds stored, and another compressed and far larger."""
    file = io.BytesIO()
    torch.save({"w": torch.zeros(7)}, file)
    with zipfile.ZipFile(file) as archive:
        pickled = archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed, plain = packer.compress(bytes(zeros)) + packer.flush(), bytes(zeros)
    parts = [(b"a/data.pkl", 0, pickled, pickled), (b"a/data/0", 8, packed, plain)]
    out, one, other = b"", [], []
    for name, method, stored, whole in parts:
        crc = zlib.crc32(whole)
        one.append((name, method, crc, len(stored), len(whole), len(out)))
        other.append((name, 0, crc, len(stored), len(stored), len(out)))
        head = (b"PK\x03\x04", 20, 0, method, 0, 33, crc, len(stored), len(whole), len(name), 0)
        out += struct.pack("<4s5H3L2H", *head) + name + stored
    start, first = len(out), directory(one)
    end = (b"PK\x05\x06", 0, 0, len(parts), len(parts), len(first), start, 0)
    return out + first + directory(other) + struct.pack("<4s4H2LH", *end)


def test_a_zip_with_two_directories_is_refused(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(two_directories(1_000_000))
    with zipfile.ZipFile(path) as archive:  # which sees the second, in which all is small
        assert sum(part.file_size for part in archive.infolist()) < 10_000
    with refusal("two directories"):
        read_checkpoint_file(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_readers_could_take_in_different_ways_is_refused(tmp_path):
    path = tmp_path / "x.pt"
    write(path, {"a": torch.ones(3)})
    assert read_checkpoint_file(path)["a"].sum() == 3
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(n for n in members if n.endswith("data.pkl"))
    for what in ("behind", "comment", "compressed", "twice", "cut", "case"):
        method = zipfile.ZIP_DEFLATED if what == "compressed" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
            if what in ("twice", "case"):
                archive.writestr(pickled if what == "twice" else pickled.upper(), b"other")
            archive.comment = b"x" if what == "comment" else b""
        if what in ("behind", "cut"):
            path.write_bytes(whole + b"PK" if what == "behind" else whole[:-1])
        with refusal("truncated, broken, or holds more than weights", what):
            read_checkpoint_file(path)


def trained():
    """What a published training leaves: network, optimizer, averages, learning rates, settings."""
    with torch.random.fork_rng(devices=[]):
        network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.GroupNorm(1, 3))
    optimizer = torch.optim.Adam(network.parameters(), betas=(0.9, 0.99))
    network(torch.ones(1, 2, 4, 4)).sum().backward()
    optimizer.step()
    rates = torch.optim.lr_scheduler.MultiStepLR(optimizer, [5, 7])
    average = {"decay": 0.999, "num_updates": 3, "shadow_params": list(network.parameters())}
    settings = {"shape": torch.Size([3, 8]), "on": torch.device("cpu"), "in": torch.float32,
                "raw": b"\x00\xff", "names": {"a", "b"}, "counts": Counter([1, 1]), "none": None}  # fmt: skip
    return {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "ema": average,
            "rates": rates.state_dict(), "step": 10**12, "config": settings}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_what_a_training_leaves_is_read(tmp_path, form):
    content = trained()
    read = read_checkpoint_file(write(tmp_path / "model (1).pth", content, form=form))
    assert isinstance(read["model"], OrderedDict)
    assert read["config"] == content["config"]
    assert read["rates"] == content["rates"]
    shadow = zip(read["ema"]["shadow_params"], content["ema"]["shadow_params"], strict=True)
    assert all(torch.equal(a, b) for a, b in shadow)
    moments = read["optimizer"]["state"][0]["exp_avg"]
    assert torch.equal(moments, content["optimizer"]["state"][0]["exp_avg"])


@pytest.mark.parametrize("form", FORMS)
def test_tensors_of_every_ordinary_kind_are_read(tmp_path, form):
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool):
        whole = torch.arange(12).to(dtype).reshape(3, 4)
        state = {"whole": whole, "same": whole, "turned": whole.t(), "part": whole[1:, 2:],
                 "none": whole[:0], "number": whole[1, 1], "alone": whole.clone()}  # fmt: skip
        read = read_checkpoint_file(write(tmp_path / "x", state, form=form))
        assert all(torch.equal(read[name], state[name]) for name in state), dtype
        assert read["whole"].data_ptr() == read["same"].data_ptr(), dtype


def test_a_large_file_is_looked_through_in_little_memory(tmp_path):
    path = tmp_path / "large.pt"
    torch.save({f"w{i}": torch.zeros(2_000_000) for i in range(5)}, path)
    tracemalloc.start()
    try:
        assert len(torch_files.require_weights(path)) == 5
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


def test_zip_files_of_64_bits_are_read(tmp_path, monkeypatch):
    """With many members the directory needs its 64-bit form."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    path = tmp_path / "many.pt"
    write(path, [torch.ones(1)])
    with zipfile.ZipFile(path, "a") as archive:
        folder = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{folder}/more", b"")
    assert b"PK\x06\x06" in path.read_bytes()
    assert torch.equal(read_checkpoint_file(path)[0], torch.ones(1))


@pytest.mark.parametrize("form", FORMS)
def test_a_hostile_file_is_one_line_for_any_command(tmp_path, form):
    path = write(tmp_path / "x.ckpt", ddpm_state(), {"config": SMALL_DDPM}, form)
    load(path)
    framed(path, b"\x80\x02" + HOSTILE["hashed tuples"][0], form)
    with refusal(r"checkpoint: \S+ is truncated, broken, or holds"):
        load(path)
