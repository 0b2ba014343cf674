"""A calibration with any one part damaged is refused in one line, or does no harm."""

import json
from dataclasses import replace

import jaxtyping
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from real.calibrated.calibrate import calibration_summary
from real.calibrated.calibration_files import require_branch
from theory.calibration.procedure import calibrate
from theory.calibration.result import Calibration
from theory.diffusion.schedules import VPLinear
from theory.estimators.class_shift import ClassShift
from theory.estimators.slopes import Slopes
from theory.forward.keyed_noise import keyed_noise
from theory.support.errors import InputError

SHAPE, TIMES, CLASSES = (1, 4, 4), [0.125, 0.25, 0.5, 0.75, 0.875], 3
KINDS = ("octave", "low rank", "none", "pixel", "whole")


@pytest.fixture(scope="module", autouse=True)
def without_type_checker():
    """Users run without it, and it would refuse much of this before anything else could."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def some(*shape):
    return 0.1 * torch.randn(
        *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


@pytest.fixture(scope="module")
def made():
    """A calibration that has every part there is."""
    images = keyed_noise(0, "images", 0, 0, torch.arange(24), SHAPE).clamp(-1, 1)
    found = calibrate(
        lambda x_t, t: 0.9 * x_t + 0.1,
        VPLinear(),
        images=images,
        times=TIMES,
        provenance={"fingerprint": "it"},
    )
    n = len(TIMES)
    slopes = Slopes(
        some(n, *SHAPE), some(n, 2, *SHAPE), some(n, 2, *SHAPE), KINDS, some(n), some(n),
        some(n, 16, *SHAPE), some(n, 2).square(),
    )  # fmt: skip
    of_classes = ClassShift(some(n, CLASSES, *SHAPE), some(n, CLASSES), some(n), some(n))
    return replace(found, parts=(found.constant, slopes, of_classes))


@pytest.fixture(scope="module")
def parts(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("calibration") / "whole.safetensors"
    made.save(path)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, file.metadata()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged") / "damaged.safetensors"


def one(tensor, value):
    result = tensor.clone()
    result.view(-1)[-1] = value
    return result


DAMAGES = {
    "gone": lambda v: None,
    "0-d": lambda v: v.flatten()[0].clone(),
    "empty": lambda v: v[:0].clone(),
    "one short": lambda v: v[:-1].clone(),
    "one more": lambda v: torch.cat([v, v[:1]]),
    "flat": lambda v: v.flatten().clone() if v.dim() > 1 else v[:, None].clone(),
    "last axis short": lambda v: v[..., :-1].contiguous(),
    "whole numbers": lambda v: v.to(torch.int32),
    "float32": lambda v: v.float(),
    "float16": lambda v: v.half(),
    "booleans": lambda v: v.bool(),
    "complex": lambda v: v.to(torch.complex64),
    "NaN": lambda v: one(v.double(), torch.nan),
    "infinity": lambda v: one(v.double(), torch.inf),
}
HARMLESS = {
    ("image_ids", "one more"), ("eta_sq", "infinity"), ("eta_sq_of_set", "infinity"),
    ("line_check", "gone"), ("mean_image", "gone"),
}  # fmt: skip
"""An identity twice, an interval that reaches to infinity, and what older files do not have."""


def require_unharmed(calibration):
    """Whatever is read from a calibration can be used, and nothing of it is lost."""
    x_t, t = torch.zeros(2, *SHAPE), torch.tensor([0.25, 0.6])
    labels = torch.tensor([0, 1])
    assert calibration.correction(x_t, t, x_t, labels).isfinite().all()
    assert calibration.certified_gain(t).isfinite().all()
    assert calibration.noise_energy_at(t).isfinite().all()
    assert calibration.slopes is not None and calibration.class_shift is not None


def refused(path, tensors, metadata):
    save_file(tensors, path, metadata)
    try:
        require_unharmed(Calibration.load(path))
    except InputError as error:
        assert "\n" not in str(error)
        return True
    return False


def test_undamaged_it_is_read_and_calibration_summary(parts, path):
    assert not refused(path, *parts)
    assert "slopes: octave at 1" in " ".join(calibration_summary(Calibration.load(path)))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_tensor_is_refused(parts, path, damage):
    tensors, metadata = parts
    for name, tensor in tensors.items():
        broken = DAMAGES[damage](tensor)
        others = {k: v for k, v in tensors.items() if k != name}
        here = others if broken is None else others | {name: broken}
        assert refused(path, here, metadata) != ((name, damage) in HARMLESS), name


WRONG = {
    "bands": ["null", "0", "1.5", "true", '"x"', "[]"],
    "smoothing": ["null", "NaN", "Infinity", "-1", '"x"', "true", "[0]"],
    "total_certificate": ["null", "NaN", "Infinity", '"x"', "[]", "1" + "0" * 400],
    "kinds": ["[]", "null", '["pixel"]', '["x", "x", "x", "x", "x"]', "[1, 2, 3, 4, 5]", '"pixel"'],
    "choices": ["[]", "null", "[1]", '[{"estimator": "x"}]', "{}", '"x"'],
    "provenance": ["[]", "null", '"x"', "1", "[[1, 2]]"],
    "schedule": [
        "[]", "null", "{}", '{"name": "x"}', '{"name": ["x"]}', '{"name": "vp-linear", "x": 1}',
        '{"name": "vp-linear", "beta_min": "x"}', '{"name": "vp-linear", "beta_min": NaN}',
        '{"name": "vp-linear", "t_max": [1]}', '{"name": "discrete", "alphas_cumprod": "x"}',
        '{"name": "discrete", "alphas_cumprod": [[0.5]]}', '{"name": "discrete"}',
        '{"name": "edm", "sigma_min": {}}',
    ],
    "target": ["", "x", "null", "noise\nnoise"],
    "format": ["", "diffusion-martingale calibration 1"],
}  # fmt: skip
CHOICE = {"estimator": "regression", "images": 24, "draws": 1}


@pytest.mark.parametrize("name", WRONG)
def test_a_damaged_entry_is_refused(parts, path, name):
    tensors, metadata = parts
    assert set(WRONG) == set(metadata)
    for value in (*WRONG[name], "{", "[" * 100_000, "\0"):
        assert refused(path, tensors, metadata | {name: value}), value
    assert refused(path, tensors, {k: v for k, v in metadata.items() if k != name})


@pytest.mark.parametrize(
    "wrong", [{"images": 0}, {"images": "24"}, {"images": 25}, {"draws": 1.5}, {"estimator": None}]
)
def test_a_damaged_choice_is_refused(parts, path, wrong):
    tensors, metadata = parts
    choices = json.loads(metadata["choices"])
    assert choices[0] == CHOICE
    entry = json.dumps([choices[0] | wrong, *choices[1:]])
    assert refused(path, tensors, metadata | {"choices": entry})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.sampled_from(sorted(WRONG)), json_values)
def test_any_json_in_place_of_an_entry_is_refused_or_harmless(parts, path, name, value):
    tensors, metadata = parts
    refused(path, tensors, metadata | {name: json.dumps(value)})


@given(st.data())
def test_any_other_shape_or_type_of_a_tensor_is_refused_or_harmless(parts, path, data):
    tensors, metadata = parts
    name = data.draw(st.sampled_from(sorted(tensors)))
    shape = data.draw(st.lists(st.integers(0, 5), max_size=4))
    dtype = data.draw(st.sampled_from([torch.float64, torch.float32, torch.int64, torch.uint8]))
    value = data.draw(st.sampled_from([0, 1, 3]))
    refused(path, tensors | {name: torch.full(shape, value, dtype=dtype)}, metadata)


def test_parts_that_do_not_belong_together_are_refused_where_they_are_built(made):
    """The same check meets files and callers."""
    for wrong in (
        {"shift": made.shift[:-1]},
        {"shift": made.shift.float()},
        {"weights": made.weights * torch.nan},
        {"smoothing": float("nan")},
    ):
        with pytest.raises(InputError):
            replace(made.constant, **wrong)
    short = replace(made.slopes, kinds=KINDS[:4], **{
        name: getattr(made.slopes, name)[:4]
        for name in (
            "offset", "pixel", "cosine", "gains", "certificates", "low_rank", "noise_energy",
        )
    })  # fmt: skip
    for wrong in (
        {"parts": made.parts[1:]},
        {"parts": (made.constant, short)},
        {"image_ids": made.image_ids[:1]},
        {"choices": (*made.choices[:-1], replace(made.choices[-1], images=10**6))},
    ):
        with pytest.raises(InputError):
            replace(made, **wrong)
    with pytest.raises(InputError, match="expected cosine, as kinds name it"):
        replace(made.slopes, cosine=None)
    with pytest.raises(InputError, match=r"class shift: weights: expected float64 \(5, 3\)"):
        replace(made.class_shift, weights=made.weights)


def test_a_calibration_of_the_other_branch_is_refused(made):
    require_branch(made, "joint")
    require_branch(made, "null")
    for branch, other in (("joint", "null"), ("null", "joint")):
        of_branch = made.with_provenance(condition=branch)
        require_branch(of_branch, branch)
        with pytest.raises(
            InputError, match=f"--condition {other} for .*got one made with --condition {branch}"
        ):
            require_branch(of_branch, other)
