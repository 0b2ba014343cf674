"""What speaks against a network's description is said; right descriptions are not doubted."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import t as student

from theory.calibration import Calibration, alternatives, calibrate, validate
from theory.calibration.description import MARGIN, MEAN_MARGIN, description_warning
from theory.calibration.passes import pose
from theory.diffusion.schedules import VPLinear
from theory.diffusion.targets import DATA, NOISE
from theory.estimators.line_check import LineComparison
from theory.estimators.time_grid import TimeGrid
from theory.forward.images import ImageSet
from theory.forward.network import Network
from theory.statistics.intervals import Estimate
from theory.statistics.neyman_allocation import Goal
from theory.support.broadcasting import along_batch

SCHEDULE = VPLinear()
TIMES = SCHEDULE.time_of(torch.tensor([4.0, 2.0, 0.0, -2.0, -3.0, -4.0], dtype=torch.float64))
COLOURS = torch.tensor([0.6, 0.0, -0.6], dtype=torch.float64)[:, None, None]
KINDS = torch.linspace(-1, 1, 4, dtype=torch.float64)
SPREAD = 0.3


def exact(mean):
    """Predicts the data of N(mean(condition), SPREAD^2) from x_t."""

    def predict(x_t, t, condition=None):
        alpha, sigma = (along_batch(f(t), x_t) for f in (SCHEDULE.alpha, SCHEDULE.sigma))
        m = mean(condition)
        return m + alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + sigma**2) * (x_t - alpha * m)

    return predict


def noised(mean, seed=0):
    noise = torch.randn(
        len(mean), 3, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return mean + SPREAD * noise


def made(predict, images, conditions=None):
    return calibrate(
        predict, SCHEDULE, target=DATA, images=images, times=TIMES, conditions=conditions
    )


def test_channels_in_the_other_order_are_found():
    predict, images = exact(lambda _: COLOURS), noised(COLOURS.expand(160, 3, 1, 1))
    assert made(predict, images).warning() is None
    wrong = made(predict, images.flip(1))
    assert "channels in reversed order" in wrong.warning()
    grey = made(exact(lambda _: 0 * COLOURS), noised(0 * COLOURS.expand(160, 3, 1, 1)))
    assert grey.warning() is None
    assert wrong.provenance["evaluations"] == 160 * 6 + 2 * 16 * 3


LABELS = torch.arange(4000) % 4


def of_label(labels):
    return along_batch(KINDS[torch.as_tensor(labels)], torch.ones(1, 1, 1, 1))


def test_labels_that_are_off_by_one_are_found():
    images = noised(of_label(LABELS))
    predict = exact(of_label)
    assert made(predict, images, LABELS).warning() is None
    for by, says in ((1, "labels one lower"), (-1, "labels one higher")):
        assert says in made(predict, images, (LABELS + by) % 4).warning()


def test_a_budget_is_kept_and_small_ones_are_spent_on_the_calibration_alone():
    images, wrong = noised(of_label(LABELS)), (LABELS + 1) % 4
    for budget, tried in ((20_000, True), (600, False)):
        found = calibrate(
            exact(of_label), SCHEDULE, target=DATA, images=images, times=TIMES, conditions=wrong,
            goal=Goal(evaluations=budget),
        )  # fmt: skip
        assert ("labels one lower" in found.warning()) == tried
        assert found.provenance["evaluations"] <= budget


@pytest.mark.parametrize("budget", [16_000, 20_000, 27_321])
def test_of_a_budget_no_more_than_its_share_is_spent_on_alternatives(budget):
    """Nearly all of it, too: another image of each way of running the network would be too much."""
    problem = pose(
        Network(exact(of_label), SCHEDULE, DATA), ImageSet(noised(of_label(LABELS)), LABELS), TIMES, (),
        seed=0,
    )  # fmt: skip
    _, spent = alternatives.better_alternatives(problem, budget)
    one_more = 4 * 5
    assert alternatives.SHARE * budget - one_more < spent <= alternatives.SHARE * budget


def test_conditions_that_do_not_matter_are_no_doubt():
    images = noised(0 * of_label(LABELS))
    assert made(exact(lambda _: 0.0), images, LABELS).warning() is None
    assert made(exact(lambda _: 0.0), images, ["a text"] * len(LABELS)).warning() is None


def test_texts_of_other_images_are_found():
    """Every text is wrong; one in four of those of other images is right."""
    images = noised(of_label(LABELS))
    texts = [str(k) for k in ((LABELS + 2) % 4).tolist()]
    predict = exact(lambda texts: of_label([int(text) for text in texts]))
    assert "conditions of other images" in made(predict, images, texts).warning()
    right = [str(k) for k in LABELS.tolist()]
    assert made(predict, images, right).warning() is None


def test_images_of_one_kind_alone_are_found():
    """The network knows four kinds; without conditions its mean is that of all."""

    def predict(x_t, t, condition=None):
        alpha, sigma = (along_batch(f(t), x_t) for f in (SCHEDULE.alpha, SCHEDULE.sigma))
        variance = alpha**2 * SPREAD**2 + sigma**2
        far = torch.stack([(x_t - alpha * m).flatten(1).square().sum(1) for m in KINDS], 1)
        weight = (-far / (2 * variance.flatten(1))).softmax(1)
        gain = alpha * SPREAD**2 / variance
        kinds = torch.stack([m + gain * (x_t - alpha * m) for m in KINDS], 1)
        return (weight[:, :, None, None, None] * kinds).sum(1)

    images = noised(of_label(LABELS))
    assert made(predict, images).warning() is None
    one = made(predict, images[LABELS == 3])
    assert "the mean of its predictions is wrong" in one.warning()
    held_out = validate(predict, one, images=noised(of_label(LABELS), seed=1)[LABELS == 3])
    assert "the mean of its predictions is wrong" in held_out.warning()


DIMENSION = 4.0


def line(excess=-0.5, error=1e-6):
    return LineComparison(1.0 + excess, 1.0, 1.0, DIMENSION, error, 100)


def eta(share=0.0):
    return Estimate(2 * share, share, 3 * share)


RIGHT, LINES = (eta(), eta()), (line(), line())


def warned(lines, etas=RIGHT, log_snrs=(0.0, 1.0), target=NOISE):
    times = SCHEDULE.time_of(torch.tensor(log_snrs, dtype=torch.float64))
    return description_warning(TimeGrid(SCHEDULE, times), target, lines, etas, int(DIMENSION))


def test_the_line_needs_an_excess_beyond_the_margin_and_beyond_doubt():
    small, large = DIMENSION * MARGIN / 2, DIMENSION * MARGIN * 2
    for other in (line(small), line(large, error=1.0), line(-large)):
        assert warned((line(small), other)) is None
    text = warned((line(), line(large)))
    assert "at 1 of 2 times it predicts worse than a straight line" in text
    assert warned(()) is None
    exact_line = LineComparison(1.0, 0.0, 1.0, DIMENSION, 0.0, 100)
    assert "straight line" in warned((exact_line, exact_line))


def test_a_line_that_is_beaten_at_one_of_many_times_by_chance_is_no_doubt():
    """Beyond doubt for one time is not for forty."""
    excess, doubtful = 2 * DIMENSION * MARGIN, DIMENSION * MARGIN / 2
    lines = (line(excess, error=doubtful),) * 40
    log_snrs = torch.linspace(0, 6, 40).tolist()
    assert warned(lines[:1], RIGHT[:1], log_snrs[:1])
    assert warned(lines, RIGHT * 20, log_snrs) is None


def test_errors_count_as_errors_of_the_noise_whatever_the_target():
    """An error of x_0 as large as x_0 itself is one of the noise of SNR; beyond, of next to nothing."""
    whole = (line(DIMENSION),) * 2
    assert warned(whole, log_snrs=(-7.0, -6.0), target=DATA) is None
    assert warned(whole, log_snrs=(-4.0, -3.0), target=DATA)
    assert warned(whole, log_snrs=(6.0, 7.0), target=NOISE)
    assert warned(whole, log_snrs=(8.5, 9.0), target=NOISE) is None


def test_the_mean_needs_a_share_beyond_the_margin_and_beyond_doubt():
    margin = DIMENSION * MEAN_MARGIN
    assert warned(LINES, (eta(margin / 2), eta())) is None
    assert "the mean of its predictions is wrong" in warned(LINES, (eta(), eta(2 * margin)))
    unsure = Estimate(9.0, -1.0, 20.0)
    assert warned(LINES, (unsure, unsure)) is None
    assert warned(LINES, (unsure, unsure), log_snrs=(-4.0, -3.0), target=DATA) is None


def test_only_at_some_noise_does_the_mean_count_as_that_of_x_0():
    half = (eta(DIMENSION / 2), eta())
    assert warned(LINES, half, log_snrs=(-4.0, -3.0), target=DATA)
    assert warned(LINES, half, log_snrs=(-8.0, -7.0), target=DATA) is None


def test_doubts_are_kept_in_a_file(tmp_path):
    wrong = made(exact(of_label), noised(of_label(LABELS)), (LABELS + 1) % 4)
    wrong.save(tmp_path / "it")
    again = Calibration.load(tmp_path / "it")
    assert again.warning() == wrong.warning()
    assert again.doubts == wrong.doubts != ()


def test_several_alternatives_share_the_probability_of_a_doubt(monkeypatch):
    """Four: one that is better at 0.0008 may be the best of four by chance; at 0.0002 it is not."""
    n = 16
    problem = pose(
        Network(exact(lambda _: COLOURS), SCHEDULE, DATA),
        ImageSet(noised(COLOURS.expand(n, 3, 1, 1)), torch.arange(n) % 4, n), TIMES, (), seed=0,
    )  # fmt: skip
    spread = torch.linspace(-1, 1, n, dtype=torch.float64)
    for level, seen in ((0.0008, False), (0.0002, True)):
        fall = spread + float(student.isf(level, n - 1)) * spread.std() / n**0.5

        def errors(problem, described, times, chosen, fall=fall):
            own = described.says == "as described"
            return torch.ones(1, n).double() if own else (-fall).exp()[None]

        monkeypatch.setattr(alternatives, "_errors", errors)
        doubts, _ = alternatives.better_alternatives(problem)
        assert len(doubts) == (4 if seen else 0)


def test_a_small_mean_error_alone_may_be_little_training():
    """A larger one, or a line that does better, is the description's."""
    grid = TimeGrid(SCHEDULE, TIMES[-2:])
    right = LineComparison(0.5, 1.0, 1.0, 12.0, 0.01, 100)

    def said(share, comparison=right):
        errors = [Estimate(share * 12, share * 12, share * 12)] * 2
        return description_warning(grid, DATA, [comparison] * 2, errors, 12)

    assert said(0.001) is None
    assert said(0.49).startswith("the network is little trained or does not fit its description")
    assert said(0.51).startswith("the network does not fit its description: the mean")
    worse = said(0.09, replace(right, network=200.0))
    assert worse.startswith("the network does not fit its description: at 2 of 2 times")
    assert all("trained long enough" in text for text in (said(0.49), said(0.51), worse))


def posed_in_colour(n=32):
    return pose(
        Network(exact(lambda _: COLOURS), SCHEDULE, DATA),
        ImageSet(noised(COLOURS.expand(n, 3, 1, 1)), None, n), TIMES, (), seed=0,
    )  # fmt: skip


def test_every_time_counts_alike_for_an_alternative(monkeypatch):
    """Half the error at one time, and as much at another where errors are a million times as large."""
    spread = 1 + 0.01 * torch.linspace(-1, 1, 32, dtype=torch.float64)

    def errors(problem, described, times, chosen):
        own = described.says == "as described"
        return torch.stack([1e6 * torch.ones(32).double(), (1.0 if own else 0.5) * spread])

    monkeypatch.setattr(alternatives, "_errors", errors)
    (said,), _ = alternatives.better_alternatives(posed_in_colour())
    assert "0.75 times the squared error" in said


def test_an_alternative_is_tried_on_the_same_noise():
    problem = posed_in_colour()
    given = alternatives.Alternative("as described", problem.network.predict, None)
    other = alternatives.Alternative("otherwise", problem.network.predict, None)
    everyone = torch.ones(32, dtype=torch.bool)
    one, two = (alternatives._errors(problem, a, TIMES, everyone) for a in (given, other))
    assert torch.equal(one, two) and (one.std(1) > 0).all()
