"""What is read from a pickle, and that nothing of a malicious one ever runs."""

import io
import os
import pickle
import struct
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from real.files.network_pickles import PickledObject, unpickle
from real.files.unfolding import NESTING
from tests.real.stored_networks import Persistent, install_persistence
from tests.refusals import refusal

pytestmark = pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")


@pytest.fixture(autouse=True)
def _persistence(monkeypatch):
    install_persistence(monkeypatch)


def written(tmp_path, payload: bytes) -> Path:
    path = tmp_path / "file.pkl"
    path.write_bytes(payload)
    return path


def refused(tmp_path, payload: bytes, message: str = "checkpoint") -> None:
    with refusal(message, payload[:200]):
        unpickle(written(tmp_path, payload))


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_plain_values_come_back(tmp_path, protocol):
    shared = [1, 2]
    value = {
        "numbers": [0, 300, 70000, -1, 2**40, 1.5, True, None], "text": "é", "bytes": b"\0",
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), "set": {1, 2}, "both": [shared] * 2,
        7: OrderedDict(a=1), "easy": sys.modules["dnnlib.util"].EasyDict(a=OrderedDict(b=2)),
    }  # fmt: skip
    read = unpickle(written(tmp_path, pickle.dumps(value, protocol)))
    assert read | {"set": {1, 2}} == value
    assert set(read["set"]) == {1, 2}
    assert read["both"][0] is read["both"][1]


@pytest.mark.parametrize("protocol", [4, 5])
def test_numpy_values_become_plain(tmp_path, protocol):
    value = {
        "scalar": np.float64(0.25), "half": np.float16(0.5), "count": np.int64(-3),
        "yes": np.bool_(True), "array": np.arange(6, dtype=">i4").reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }  # fmt: skip
    assert unpickle(written(tmp_path, pickle.dumps(value, protocol))) == {
        "scalar": 0.25, "half": 0.5, "count": -3, "yes": True,
        "array": [[0, 1, 2], [3, 4, 5]], "columns": [[0, 1, 2], [3, 4, 5]],
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64])
def test_tensors_come_back(tmp_path, dtype):
    whole = torch.arange(12).to(dtype).reshape(3, 4)
    value = {"whole": whole, "turned": whole.t(), "part": whole[1:, 2:], "empty": whole[:0]}
    value |= {"number": whole[1, 1], "parameter": nn.Parameter(whole, requires_grad=False)}
    read = unpickle(written(tmp_path, pickle.dumps(value)))
    assert all(torch.equal(read[name], tensor) for name, tensor in value.items())
    assert all(read[name].dtype == dtype for name in value)


def test_an_object_becomes_its_arguments_and_tensors(tmp_path):
    inner = Persistent("Layer", {"_parameters": {"weight": torch.ones(2), "bias": None}})
    blocks = nn.ModuleDict()
    blocks._modules = {"8x8_conv": inner, "none": None}
    state = {
        "_parameters": {}, "_buffers": {"kept": torch.zeros(1), "passing": torch.zeros(1)},
        "_non_persistent_buffers_set": {"passing"}, "_modules": {"enc": blocks}, "other": object,
        "_init_args": (1,), "_init_kwargs": {"width": 8, "mult": [1, 2]},
    }  # fmt: skip
    state.pop("other")
    read = unpickle(written(tmp_path, pickle.dumps(Persistent("Net", state))))
    assert isinstance(read, PickledObject)
    assert (read.class_name, read.args) == ("Net", (1,))
    assert read.kwargs == {"width": 8, "mult": [1, 2]}
    assert list(read.state) == ["kept", "enc.8x8_conv.weight"]


class Runs:
    """Touches a file when it is unpickled."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.system, (f"touch {self.witness}",)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def short(value: bytes) -> bytes:
    return b"C" + bytes([len(value)]) + value


def malicious(how: str, witness: Path) -> bytes:
    command = text(f"touch {witness}")
    system = os.system.__module__
    match how:
        case "reduce":
            return pickle.dumps({"ema": Runs(witness)})
        case "in the state":
            return pickle.dumps(
                {"ema": Persistent("SongUNet", {"_parameters": {"w": Runs(witness)}})}
            )
        case "ignored attribute":
            return pickle.dumps({"ema": Persistent("SongUNet", {"training": Runs(witness)})})
        case "GLOBAL":
            return b"\x80\x02c" + f"{system}\nsystem\n".encode() + command + b"\x85R."
        case "STACK_GLOBAL":
            return b"\x80\x04" + text(system) + text("system") + b"\x93" + command + b"\x85R."
        case "dotted":
            return (
                b"\x80\x04"
                + text("collections")
                + text("OrderedDict.__init__.__globals__")
                + b"\x93."
            )
        case "INST":
            return b"(" + command + b"i" + f"{system}\nsystem\n".encode() + b"."
        case "OBJ":
            return b"\x80\x02(c" + f"{system}\nsystem\n".encode() + command + b"o."
        case "NEWOBJ_EX":
            return (b"\x80\x04c" + b"collections\nOrderedDict\n" + b"(" + pickled(Runs(witness))
                    + b"t}\x92.")  # fmt: skip
        case "NEWOBJ":
            return (
                b"\x80\x04c" + b"collections\nOrderedDict\n" + pickled(Runs(witness)) + b"\x85\x81."
            )
        case "BUILD":
            return (b"\x80\x04c" + b"collections\nOrderedDict\n" + b")R}" + text("__setstate__")
                    + b"c" + f"{system}\nsystem\n".encode() + b"sb" + command + b"b.")  # fmt: skip
        case "payload":
            inside = pickle.dumps(Runs(witness), 2)
            return b"\x80\x04c" + b"torch.storage\n_load_from_bytes\n" + short(inside) + b"\x85R."
        case "payload of torch.save":
            file = io.BytesIO()
            torch.save({"x": Runs(witness)}, file, _use_new_zipfile_serialization=False)
            call = b"\x80\x04c" + b"torch.storage\n_load_from_bytes\n"
            return (
                call + b"B" + struct.pack("<I", len(file.getvalue())) + file.getvalue() + b"\x85R."
            )
        case "zipped payload":
            file = io.BytesIO()
            torch.save({"x": Runs(witness)}, file)
            call = b"\x80\x04c" + b"torch.storage\n_load_from_bytes\n"
            return (
                call + b"B" + struct.pack("<I", len(file.getvalue())) + file.getvalue() + b"\x85R."
            )
        case "source text":
            meta = {"type": "class", "class_name": "Net", "state": {"_parameters": {"w": 1}},
                    "module_src": f"import os; os.system('touch {witness}')"}  # fmt: skip
            thing = Persistent("Net", {})
            thing.meta = meta
            return pickle.dumps({"ema": thing})
    raise KeyError(how)


def pickled(value) -> bytes:
    """The operations that make a value, without header and end."""
    return pickle.dumps(value, 2)[2:-1]


ATTACKS = {
    "reduce": "asks for '.*system'", "in the state": "asks for '.*system'",
    "ignored attribute": "asks for '.*system'", "GLOBAL": "asks for '.*system'",
    "STACK_GLOBAL": "asks for '.*system'", "dotted": "asks for 'collections.OrderedDict.__init__",
    "INST": "uses INST", "OBJ": "asks for '.*system'", "NEWOBJ_EX": "asks for '.*system'",
    "NEWOBJ": "asks for '.*system'", "BUILD": "asks for '.*system'",
    "payload": "without running code", "payload of torch.save": "without running code",
    "zipped payload": "compressed", "source text": "no tensor",
}  # fmt: skip
RUN_BY_PICKLE = ["reduce", "in the state", "ignored attribute", "GLOBAL", "STACK_GLOBAL", "INST",
                 "OBJ", "NEWOBJ_EX", "NEWOBJ", "payload of torch.save", "zipped payload"]  # fmt: skip


@pytest.mark.parametrize("how", ATTACKS)
def test_malicious_files_are_refused_and_nothing_ran(tmp_path, how):
    witness = tmp_path / "witness"
    refused(tmp_path, malicious(how, witness), ATTACKS[how])
    assert not witness.exists()


@pytest.mark.parametrize("how", RUN_BY_PICKLE)
def test_python_itself_would_have_run_them(tmp_path, monkeypatch, how):
    """The control: the same bytes do run where they are unpickled without care."""
    witness = tmp_path / "witness"
    payload = malicious(how, witness)
    careless = torch.load
    monkeypatch.setattr(
        torch, "load", lambda *a, **k: careless(*a, **(k | {"weights_only": False}))
    )
    try:
        pickle.loads(payload)
    except Exception as error:
        assert not isinstance(error, FileNotFoundError)
    assert witness.exists()


ORDERED = b"ccollections\nOrderedDict\n"


CROOKED = [
    (b"\x80\x04" + ORDERED + b".", "no value"),
    (b"\x80\x04" + ORDERED + b"K\x01\x85R.", "made from arguments"),
    (b"\x80\x04" + ORDERED + b")RK\x01bK\x02b.", "restores"),
    (b"\x80\x04]K\x01b.", "restores what was not made"),
    (b"\x80\x04" + ORDERED + b"}b.", "restores what was not made"),
    (b"\x80\x04K\x01K\x02R.", "no function"),
    (b"\x80\x04" + ORDERED + b")R)R.", "no function"),
    (b"\x80\x04" + ORDERED + b")RK\x01a.", "no list"),
    (b"\x80\x04}]K\x01s.", "neither text nor number"),
    (b"\x80\x04]K\x01K\x02s.", "no dictionary"),
    (b"\x80\x04X\x01\x00\x00\x00aQ.", "BINPERSID"),
    (b"\x80\x04\x82\x01.", "EXT1"),
    (b"\x80\x04cnumpy\nndarray\n.", "no value"),
    (b"\x80\x04\x85.", "runs empty"),
    (b"\x80\x04h\x05.", "cannot be read"),
    (b"\x80\x04t.", "cannot be read"),
    (b"\x80\x04.", "cannot be read"),
    (b"", "cannot be read"),
    (b"PK\x03\x04 something else", "cannot be read"),
]


def test_crooked_files_are_refused(tmp_path):
    for payload, message in CROOKED:
        refused(tmp_path, payload, message)


def test_every_truncated_file_is_refused(tmp_path):
    payload = pickle.dumps({"ema": Persistent("Net", {"_parameters": {"w": torch.ones(3)}})})
    unpickle(written(tmp_path, payload))
    for length in range(0, len(payload) - 1, 7):
        refused(tmp_path, payload[:length])


def large_storage() -> bytes:
    """A storage that claims more numbers than its bytes hold."""
    file = io.BytesIO()
    torch.save(torch.arange(3.0).storage(), file, _use_new_zipfile_serialization=False)
    return file.getvalue().replace(b"K\x03", b"J\xff\xff\xff\x7f")


def bomb(how: str) -> bytes:
    call = b"ctorch.storage\n_load_from_bytes\n"
    match how:
        case "hashed tuples":
            return b"\x80\x04}K\x01" + b"\x85" * 100_000 + b"K\x01s."
        case "nested":
            return b"\x80\x04" + b"]" * 5000 + b"a" * 4999 + b"."
        case "itself":
            return b"\x80\x04]\x94h\x00a."
        case "memo":
            return b"\x80\x04Nr\xff\xff\xff\xff" + b"\x85" * 3
        case "length":
            return b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc"
        case "frame":
            return b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"K\x01\x85\x85"
        case "doubling":
            part = Persistent("Net", {"_parameters": {"w": torch.ones(1)}})
            for _ in range(40):
                part = Persistent("Net", {"_modules": {"a": part, "b": part}})
            return pickle.dumps(part)
        case "same bytes again":
            file = io.BytesIO()
            torch.save(torch.ones(50_000).storage(), file, _use_new_zipfile_serialization=False)
            payload = file.getvalue()
            first = b"\x80\x04](B" + struct.pack("<I", len(payload)) + payload + b"\x94"
            return first + (call + b"h\x00\x85R") * 1000 + b"e."
        case "storage":
            payload = large_storage()
            return b"\x80\x04" + call + b"B" + struct.pack("<I", len(payload)) + payload + b"\x85R."
        case "stride":
            small = pickle.dumps(torch.ones(7), 4)
            at = small.rindex(b"K\x07\x85")
            assert small.count(b"K\x07\x85") == 1
            return small[:at] + b"J\xff\xff\xff\x7f\x85" + small[at + 3 :]
    raise KeyError(how)


BOMBS = {
    "hashed tuples": "neither text nor number", "nested": f"more than {NESTING} deep",
    "itself": "contains itself", "memo": "cannot be read", "length": "cannot be read",
    "frame": "cannot be read", "doubling": "the same values too often",
    "same bytes again": "the same values too often", "storage": "broken", "stride": "more elements",
}  # fmt: skip


@pytest.mark.parametrize("how", BOMBS)
def test_bombs_are_refused(tmp_path, how):
    refused(tmp_path, bomb(how), BOMBS[how])


class Stored:
    """Becomes the call that reads a storage from these bytes."""

    def __init__(self, payload):
        self.payload = payload

    def __reduce__(self):
        return torch.storage._load_from_bytes, (self.payload,)


def test_bytes_that_are_unpacked_twice_are_more_than_the_file_has(tmp_path):
    _, (payload,) = torch.ones(1000)._typed_storage().__reduce__()
    (found,) = unpickle(written(tmp_path, pickle.dumps([Stored(payload)])))
    assert torch.equal(found, torch.ones(1000))
    refused(tmp_path, pickle.dumps([Stored(payload)] * 2 + [Stored(payload)]), "its own size")


def test_too_many_operations_are_refused(tmp_path, monkeypatch):
    payload = pickle.dumps(list(range(1000)))
    unpickle(written(tmp_path, payload))
    monkeypatch.setattr("real.files.pickle_structure.MAX_OPERATIONS", 100)
    refused(tmp_path, payload, "more than 100 operations")


def view(size, stride, offset) -> bytes:
    tensor = pickle.dumps(torch.arange(6.0).reshape(2, 3), 4)
    old = b"K\x00K\x02K\x03\x86\x94K\x03K\x01\x86"
    assert tensor.count(old) == 1
    numbers = [bytes([ord("K"), n]) for n in (offset, *size, *stride)]
    new = b"".join([*numbers[:3], b"\x86\x94", *numbers[3:], b"\x86"])
    return tensor.replace(old, new)


def test_no_tensor_reaches_beyond_its_storage(tmp_path):
    for size, stride, offset, message in (
        ((2, 3), (3, 1), 0, None),
        ((2, 2), (3, 1), 1, None),
        ((2, 3), (3, 1), 1, "beyond its storage"),
        ((2, 3), (4, 1), 0, "beyond its storage"),
        ((4, 3), (0, 1), 0, "more elements"),
    ):
        payload = view(size, stride, offset)
        if message:
            refused(tmp_path, payload, message)
        else:
            expected = torch.arange(6.0).as_strided(size, stride, offset)
            assert torch.equal(unpickle(written(tmp_path, payload)), expected)


def frombuffer(payload: bytes, shape: tuple[int, ...], order: str) -> bytes:
    """A numpy array as protocol 5 has it."""
    call = b"\x80\x05" + b"cnumpy._core.numeric\n_frombuffer\n" + b"("
    dtype = b"cnumpy\ndtype\n" + text("f8") + b"\x89\x88\x87R"
    sides = b"(" + b"".join(b"J" + struct.pack("<i", n) for n in shape) + b"t"
    return (call + b"\x96" + struct.pack("<Q", len(payload)) + payload + dtype + sides
            + text(order) + b"tR.")  # fmt: skip


def test_arrays_of_protocol_5_are_read_within_limits(tmp_path):
    whole = unpickle(written(tmp_path, frombuffer(bytes(48), (2, 3), "C")))
    assert whole == [[0.0] * 3] * 2
    for payload, shape, order, message in (
        (bytes(48), (2, 4), "C", "missing or left over"),
        (bytes(8), (10**6, 10**6), "C", "more than 100,000 numbers"),
        (bytes(48), (2, 3), "K", "an array has no numbers"),
        (bytes(48), (-2, -3), "C", "no shape"),
        (b"", (0,) * 100, "C", "no shape"),
    ):
        refused(tmp_path, frombuffer(payload, shape, order), message)
