"""Sample quality: distances against closed forms, and what must be seen and what must not."""

import json
import re
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import sqrtm
from scipy.stats import t as student

from real.cli import main
from real.images.base import ImageSource
from real.images.digits import digits
from real.images.opening import open_images
from real.quality import feature_choice, features
from real.quality.distances import (
    frechet_distance,
    kernel_distance,
    normal_frechet_distance,
    squared_mmd,
    tint,
)
from real.quality.feature_choice import features_for
from real.quality.measure import QualityPlan, Reference, Sampler, measure_quality, over_seeds
from real.quality.trained_features import _batches, _fit, train_features
from real.solvers.sampling import Samples, latents
from tests.real.exact import MEAN, exact_checkpoint
from theory.statistics.intervals import LEVEL
from theory.support.errors import InputError


def normal(n, d, seed, mean=0.0, root=None):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x if root is None else x @ root.T) + mean


def covariance(d, seed, rank=None):
    root = normal(d, rank or d, seed)
    return root @ root.T


@pytest.mark.parametrize("rank", [6, 2])
def test_frechet_distance_of_normals_is_scipys(rank):
    a, b = covariance(6, 0, rank), covariance(6, 1)
    mean = normal(2, 6, 2)
    cross = np.trace(sqrtm((a @ b).numpy())).real
    expected = (mean[0] - mean[1]).square().sum() + a.trace() + b.trace() - 2 * cross
    ours = normal_frechet_distance(mean[0], a, mean[1], b)
    assert ours == pytest.approx(expected.item(), rel=1e-6)


def test_frechet_distance_of_commuting_normals_is_the_closed_form():
    a, b = torch.tensor([1.0, 4.0, 0.0]).double(), torch.tensor([9.0, 4.0, 0.25]).double()
    zero, one = torch.zeros(3).double(), torch.ones(3).double()
    expected = 3 + (a.sqrt() - b.sqrt()).square().sum().item()
    assert normal_frechet_distance(zero, a.diag(), one, b.diag()) == pytest.approx(expected)


def test_frechet_distance_is_exact_where_features_outnumber_images():
    few = normal(5, 40, 0)
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(few, few + 1) == pytest.approx(40)
    assert frechet_distance(few, 3 * few) == pytest.approx(
        4 * few.mean(0).square().sum().item() + 4 * few.var(0).sum().item()
    )


def test_frechet_distance_of_samples_nears_that_of_their_normals():
    root = normal(4, 4, 3)
    expected = normal_frechet_distance(
        torch.zeros(4).double(), torch.eye(4).double(), 2 * torch.ones(4).double(), root @ root.T
    )
    samples = normal(20000, 4, 4), normal(20000, 4, 5, 2.0, root)
    assert frechet_distance(*samples) == pytest.approx(expected, rel=0.03)


def test_frechet_distance_of_few_samples_is_too_large():
    """The bias that reports warn of: of order d/n, for samples of one distribution."""
    sizes = {n: np.mean([_same(n, seed) for seed in range(10)]) for n in (50, 200)}
    assert sizes[50] > 3 * sizes[200] > 0
    assert sizes[200] > 0.1


def _same(n, seed):
    return frechet_distance(normal(n, 10, 2 * seed), normal(n, 10, 2 * seed + 1))


def test_squared_mmd_is_unbiased():
    """Its mean over many pairs of samples of one distribution is zero; the biased one's is not."""
    values = torch.stack(
        [squared_mmd(normal(20, 3, 2 * i), normal(20, 3, 2 * i + 1)) for i in range(400)]
    )
    error = values.std() / len(values) ** 0.5
    assert values.mean().abs() < 4 * error
    diagonal = ((normal(2000, 3, 0).square().sum(1) / 3 + 1) ** 3).mean()
    off_diagonal = 1 + 3 / 3  # E (x.y/3 + 1)^3 = 1 + 3 E (x.y/3)^2
    assert 2 * (diagonal - off_diagonal) / 20 > 20 * error


def test_squared_mmd_by_hand():
    """Rows 1, 2 and 0, 1 under (x y + 1)^3: 27 and 1 within, (1 + 8 + 1 + 27) / 4 across."""
    a, b = (torch.tensor(rows, dtype=torch.float64)[:, None] for rows in ([1, 2], [0, 1]))
    assert squared_mmd(a, b).item() == pytest.approx(27 + 1 - 2 * 37 / 4)


def test_squared_mmd_is_the_closed_form():
    """For N(0, I) and N(m, I): E (x.y/d + 1)^3 with u = x.y/d has E u = m.m/d and so on."""
    d, shift = 2, 1.0

    def moment(mean_x, mean_y):
        nodes, weights = np.polynomial.hermite_e.hermegauss(8)
        weights = weights / weights.sum()
        grids = np.meshgrid(*[nodes] * (2 * d), indexing="ij")
        weight = np.prod(np.meshgrid(*[weights] * (2 * d), indexing="ij"), 0)
        product = sum((grids[i] + mean_x) * (grids[d + i] + mean_y) for i in range(d))
        return (weight * (product / d + 1) ** 3).sum()

    expected = moment(0, 0) + moment(shift, shift) - 2 * moment(0, shift)
    found = squared_mmd(normal(4000, d, 0), normal(4000, d, 1, shift))
    assert found.item() == pytest.approx(expected, rel=0.1)


def test_kernel_distance_covers_zero_for_one_distribution_and_not_for_two():
    covered = [
        (e := kernel_distance(normal(200, 5, 2 * i), normal(300, 5, 2 * i + 1), i)).lower
        < 0
        < e.upper
        for i in range(60)
    ]
    assert np.mean(covered) > 0.85
    other = kernel_distance(normal(200, 5, 0), normal(200, 5, 1, 0.5), 0)
    assert other.lower > 0
    many, few = (kernel_distance(normal(n, 5, 2), normal(n, 5, 3), 0) for n in (1200, 120))
    assert many.upper - many.lower < 0.5 * (few.upper - few.lower)
    again = kernel_distance(normal(200, 5, 0), normal(200, 5, 1, 0.5), 0)
    assert again == other


def test_the_error_of_the_kernel_distance_is_that_of_a_mean():
    """Ten parts of four against four: the deviation of their distances over the root of ten."""
    a, b = normal(40, 3, 1), normal(40, 3, 2)
    generator = torch.Generator().manual_seed(5)
    of_a, of_b = (torch.randperm(40, generator=generator).split(4) for _ in range(2))
    parts = torch.stack([squared_mmd(a[i], b[j]) for i, j in zip(of_a, of_b, strict=True)])
    found = kernel_distance(a, b, 5)
    half = student.ppf((1 + LEVEL) / 2, 9) * parts.std().item() / 10**0.5
    assert found.upper - found.value == pytest.approx(half)


def test_features_that_cannot_be_compared_are_refused():
    for a, b in ((normal(1, 3, 0), normal(5, 3, 0)), (normal(5, 3, 0), normal(5, 4, 0))):
        with pytest.raises(InputError, match="features: expected two samples"):
            frechet_distance(a, b)
        with pytest.raises(InputError, match="features: expected two samples"):
            kernel_distance(a, b, 0)


def test_tint_is_the_error_of_the_mean_colour():
    images = torch.zeros(4, 3, 5, 5)
    images[:, 1] = 0.25
    assert tint(images, torch.tensor([0.5, 0.0, 0.0]).double()).tolist() == [-0.5, 0.25, 0.0]


@pytest.mark.parametrize("batch_size", [2, 7])
def test_real_images_are_compared_by_all_of_them_whatever_their_batches(batch_size):
    generator = torch.Generator().manual_seed(0)
    images, others = torch.rand(2, 7, 3, 2, 2, generator=generator).unbind()
    reference, further = (
        ImageSource.of("images", some, batch_size=batch_size) for some in (images, others)
    )
    made = Reference.of(features.PIXELS, reference, "cpu")
    assert torch.equal(made.rows, images.flatten(1))
    assert torch.allclose(made.mean, images.double().mean((0, 2, 3)))
    rows = others.flatten(1), images.flatten(1)
    kid, off = kernel_distance(*rows, 5), tint(others, made.mean)
    assert made.of_real(further, 5) == {
        "frechet": frechet_distance(*rows), "kid": kid.value, "kid_lower": kid.lower,
        "kid_upper": kid.upper, "tint": pytest.approx(off.square().mean().item() ** 0.5),
        "tint_channels": off.tolist(),
    }  # fmt: skip


def test_the_accuracy_that_is_told_is_that_of_the_last_tenth():
    """A head that always says class 0 is wrong in all but the last two of twenty batches."""
    head = torch.nn.utils.skip_init(torch.nn.Linear, 1, 2)
    torch.nn.init.zeros_(head.weight)
    head.bias.data = torch.tensor([10.0, 0.0])
    truths = [1] * 18 + [0] * 2
    batches = ((torch.zeros(3, 1), torch.full((3,), truth)) for truth in truths)
    assert _fit(torch.nn.Identity(), head, batches, "cpu") == 1.0


@pytest.mark.parametrize("labelled", [True, False])
def test_trained_features_tell_real_images_from_spoilt_ones(labelled):
    source = open_images("digits", "calibration", (1, 8, 8))
    if not labelled:
        source = ImageSource("digits", len(source), source.load)
    found = train_features(source, 0, "cpu", steps=120)
    assert ("10 classes" if labelled else "quarter turns") in found.description
    assert int(re.search(r"right in (\d+)%", found.description)[1]) > 60
    assert "FID" not in found.distance
    real = found.extract(digits("held-out"))
    other = found.extract(digits("training")[: len(real)])
    mirrored = found.extract(digits("training")[: len(real)].flip(3))
    assert frechet_distance(mirrored, real) > 2 * frechet_distance(other, real)


def test_trained_features_follow_from_the_seed():
    source = open_images("digits", "calibration", (1, 8, 8), limit=64)
    images = digits("held-out")[:4]
    with torch.random.fork_rng(devices=[]):
        first, again, other = (
            train_features(source, seed, "cpu", steps=3).extract(images + 0 * torch.randn(1))
            for seed in (0, 0, 1)
        )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_tiny_images_are_compared_by_pixels_and_others_are_not(monkeypatch):
    source = ImageSource("x", 4, lambda chosen: torch.zeros(len(chosen), 3, 40, 80))
    assert features_for(None, source, (1, 8, 8), 0, "cpu") is features.PIXELS
    asked = []
    monkeypatch.setattr(
        feature_choice, "train_features", lambda *given: asked.append(given) or features.PIXELS
    )
    features_for(None, source, (3, 40, 80), 5, "cpu")
    assert asked == [(source, 5, "cpu")]
    with pytest.raises(InputError, match="expected one of pixels, trained, inception"):
        features_for("best", source, (1, 8, 8), 0, "cpu")


def test_features_of_any_size_are_trained():
    for size in ((40, 80), (100, 90)):
        pictures = torch.zeros(4, 3, *size)
        found = train_features(
            ImageSource("x", 4, lambda chosen, x=pictures: x[list(chosen)]), 0, "cpu", steps=1
        )
        assert found.distance == "Frechet distance (trained features)"
        assert found.extract(pictures).shape == (4, 64)


class Inception(torch.nn.Module):
    """In the place of torch-fidelity's extractor: the same arguments and results."""

    def __init__(self, name, wanted):
        super().__init__()
        if (name, wanted) != ("inception-v3-compat", ["2048"]):
            raise ValueError(name)

    def forward(self, pixels):
        if pixels.dtype != torch.uint8 or pixels.shape[1] != 3:
            raise TypeError(str(pixels.dtype))
        return (pixels.flatten(1).float(),)


def test_only_inceptions_distance_is_fid(monkeypatch):
    source = open_images("digits", "calibration", (1, 8, 8))
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(InputError, match="needs torch-fidelity, which is not installed"):
        features_for("inception", source, (1, 8, 8), 0, "cpu")
    module = types.SimpleNamespace(FeatureExtractorInceptionV3=Inception)
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", module)
    found = features_for("inception", source, (1, 8, 8), 0, "cpu")
    assert found.distance == "FID"
    assert found.extract(torch.tensor([-1.0, 0.0, 2.0]).reshape(3, 1, 1, 1)).tolist() == [
        [0, 0, 0], [128, 128, 128], [255, 255, 255],
    ]  # fmt: skip
    assert [name for name in feature_choice.CHOICES if name != "inception"] == ["pixels", "trained"]
    assert "FID" not in features.PIXELS.distance


def _measured(before, after, seeds=(0, 1, 2)):
    """The exact network as two that err by constants, against samples of its own data."""
    checkpoint = exact_checkpoint("vp")
    schedule = checkpoint.schedule

    def erring(by):
        return lambda x_t, t: checkpoint.predict(x_t, t) - by * schedule.alpha(t[0]).to(x_t)

    real = digits("calibration")[:, :, :1, :2].reshape(400, 2, 1, 1) * 0
    generator = torch.Generator().manual_seed(0)
    real = real + torch.randn(real.shape, generator=generator) * 0.14 + MEAN.float()
    source = ImageSource("real", 400, lambda chosen: real[list(chosen)])
    biases = {"before": before, "after": after}
    plan = QualityPlan(
        checkpoint, {name: Sampler(erring(by), "dpm-multi-2") for name, by in biases.items()}, (5, 10),
        seeds, 300, 128, "cpu",
    )  # fmt: skip
    return over_seeds(list(measure_quality(plan, Reference.of(features.PIXELS, source, "cpu"))))


def test_a_planted_shift_is_seen_in_every_measure():
    for row in _measured(before=0.2, after=0.0):
        for name in ("frechet", "kid", "tint"):
            assert row[name]["change"]["upper"] < 0, name
        assert row["tint"]["before"]["lower"] > row["tint"]["after"]["upper"]


def test_no_change_is_none_and_a_spoilt_network_is_not_praised():
    for row in _measured(before=0.0, after=0.0):
        assert all(row[name]["change"]["value"] == 0 for name in ("frechet", "kid", "tint"))
    for row in _measured(before=0.0, after=0.2):
        assert all(row[name]["change"]["lower"] > 0 for name in ("frechet", "kid", "tint"))


def test_less_than_three_seeds_are_refused():
    with pytest.raises(InputError, match="at least 3, got 2"):
        _measured(0.0, 0.0, seeds=(0, 1))


def test_two_halves_of_a_set_are_alike_and_share_nothing():
    source = ImageSource(
        "x", 9, lambda chosen: torch.tensor(chosen)[:, None].float(), 2, torch.arange(9)
    )
    for start, expected in ((0, [0, 2, 4, 6, 8]), (1, [1, 3, 5, 7])):
        half = source.every_other(start)
        assert torch.cat(list(half)).flatten().tolist() == expected
        assert half.labels.tolist() == expected
        assert len(half) == len(expected)
        assert half.load([1, 2]).flatten().tolist() == expected[1:3]


@pytest.fixture(scope="module")
def written(tmp_path_factory, digits_calibration):
    out = tmp_path_factory.mktemp("quality") / "out"
    main([
        "quality", "digits", "--calibration", str(digits_calibration), "--nfe", "2,3", "--solver",
        "heun", "--samples", "20", "--images", "40", "--quiet", "--out", str(out),
    ])  # fmt: skip
    return out


def test_program_writes_numbers_and_a_figure(written):
    content = json.loads((written / "quality.json").read_text())
    assert content["distance"] == "Frechet distance (pixels)"
    assert [row["nfe"] for row in content["over_seeds"]] == [1, 3]
    assert len(content["rows"]) == 2 * 2 * 3
    assert {row["seed"] for row in content["rows"]} == {0, 1, 2}
    for row in content["over_seeds"]:
        for name in ("frechet", "kid", "tint"):
            assert row[name]["before"]["lower"] <= row[name]["before"]["upper"]
    assert content["real_images"]["frechet"] > 0
    assert np.asarray(Image.open(written / "quality.png").convert("L")).std() > 1
    assert "FID" not in (written / "quality.json").read_text()


def test_program_refuses_too_few_seeds(tmp_path, digits_calibration):
    arguments = ["--calibration", str(digits_calibration), "--seeds", "2", "--out", str(tmp_path)]
    with pytest.raises(InputError, match="at least 3"):
        main(["quality", "digits", *arguments, "--quiet"])
    with pytest.raises(InputError, match="positive whole number"):
        main(["quality", "digits", *arguments[:2], "--out", str(tmp_path), "--nfe", "5,0"])


def test_every_seed_starts_from_noise_of_its_own():
    """So that intervals over seeds speak of the noise; both networks start from the same."""
    checkpoint, starts = exact_checkpoint("vp"), {}

    def watched(name):
        def predict(x_t, t, condition=None):
            starts.setdefault(name, []).append(x_t.clone())
            return checkpoint.predict(x_t, t)

        return Sampler(predict, "ddim")

    samplers = {name: watched(name) for name in ("before", "after")}
    plan = QualityPlan(checkpoint, samplers, (1,), (3, 4, 5), 6, 6, "cpu")
    source = ImageSource.of(
        "images", torch.rand(8, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    )
    list(measure_quality(plan, Reference.of(features.PIXELS, source, "cpu")))
    for seen in starts.values():
        expected = [latents(checkpoint, 6, seed) for seed in (3, 4, 5)]
        ratio = seen[0].flatten() / expected[0].flatten()
        assert len(seen) == 3
        for found, noise in zip(seen, expected, strict=True):
            torch.testing.assert_close(found.flatten(), ratio * noise.flatten())


def test_samples_of_both_ways_are_drawn_as_the_plan_says(monkeypatch):
    calls, condition = [], torch.arange(6)

    def watched(checkpoint, predict, noise, **options):
        calls.append((predict, options))
        return Samples(torch.zeros(6, 2, 1, 1), "its name", 7, 0.0)

    monkeypatch.setattr("real.quality.measure.sample", watched)
    samplers = {"A": Sampler(torch.sin, "ddim"), "B": Sampler(torch.cos, "unipc")}
    seeds, nfe, progress = (3, 4, 5), (2, 4), [].append
    checkpoint = exact_checkpoint("vp")
    plan = QualityPlan(checkpoint, samplers, nfe, seeds, 6, 5, "cpu", condition, progress)
    source = ImageSource.of("images", torch.zeros(8, 2, 1, 1))
    rows = list(measure_quality(plan, Reference.of(features.PIXELS, source, "cpu")))
    order = [(seed, n, name) for seed in seeds for n in nfe for name in samplers]
    common = {"condition": condition, "batch_size": 5, "on_progress": progress}
    assert calls == [
        (
            samplers[name].predict,
            {"solver": samplers[name].solver, "nfe": n, "seed": seed, **common},
        )
        for seed, n, name in order
    ]
    told = [(row["seed"], row["nfe"], row["network"]) for row in rows]
    assert told == [(seed, 7, name) for seed, _, name in order]


@pytest.mark.parametrize("labels", [None, torch.arange(5) % 3])
def test_features_learn_the_class_of_an_image_or_by_how_many_quarter_turns_it_was_turned(labels):
    pixels = torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    ((images, truth),) = _batches(pixels, labels, 0, 1)
    back = [x.rot90(-int(k), (1, 2)) for x, k in zip(images, truth, strict=True)]
    shown = images if labels is not None else torch.stack(back)
    which = (shown[:, None] == pixels).flatten(2).all(2)
    assert (which.sum(1) == 1).all()
    assert which.any(0).all() and set(truth.tolist()) == set(range(4 if labels is None else 3))
    if labels is not None:
        assert torch.equal(labels[which.int().argmax(1)], truth)
