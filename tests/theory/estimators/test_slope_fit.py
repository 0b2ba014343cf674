"""Order 1: an exact model's affine misfit is removed, and nothing is where there is nothing."""

from dataclasses import replace

import pytest
import torch

from theory.calibration.network import Calibrated
from theory.calibration.passes import full_pass, pose
from theory.calibration.procedure import calibrate, parts_of
from theory.calibration.validation import validate
from theory.diffusion.schedules import EDM, VPCosine
from theory.diffusion.targets import DATA, NOISE
from theory.estimators.control_variates import REGRESSION
from theory.estimators.low_rank import patterns
from theory.estimators.slope_fit import RIDGES, SlopesEstimator, _candidates, _Given, _SlopesTried
from theory.forward.images import ImageSet
from theory.forward.keyed_noise import keyed_noise
from theory.forward.network import Network
from theory.statistics.image_bases import by_channel, by_dct_octave, by_pixel, dct, inverse_dct
from theory.statistics.least_squares import XX, YY
from theory.statistics.neyman_allocation import Goal
from theory.statistics.shrinkage import CERTIFIED, SHRUNK
from theory.support.errors import InputError

SCHEDULE, SHAPE, MEAN, DEVIATION = VPCosine(), (2, 4, 4), 0.3, 0.5
TIMES = [0.3, 0.6, 0.8, 0.95]


def images(n, purpose="images"):
    return MEAN + DEVIATION * keyed_noise(0, purpose, 0, 0, torch.arange(n), SHAPE)


IMAGES, HELD_OUT = images(640), images(200, "held-out")


def exact(schedule=SCHEDULE, target=NOISE):
    """The best prediction for pixels N(MEAN, DEVIATION^2)."""

    def predict(x_t, t, condition=None):
        t = t.double().reshape(-1, 1, 1, 1)
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        innovation = (x_t.double() - alpha * MEAN) / (alpha**2 * DEVIATION**2 + sigma**2)
        if target is NOISE:
            return (sigma * innovation).to(x_t)
        return (MEAN + alpha * DEVIATION**2 * innovation).to(x_t)

    return predict


def damaged(damage, schedule=SCHEDULE, target=NOISE):
    """y + damage(x_t, y): an affine misfit of the exact model."""
    network = exact(schedule, target)

    def predict(x_t, t, condition=None):
        y = network(x_t, t)
        return y + damage(x_t, y)

    return predict


PIXELS = torch.linspace(-0.3, 0.3, 32, dtype=torch.float64).reshape(SHAPE)
OCTAVES = torch.tensor([0.3, -0.2, 0.1, 0.0], dtype=torch.float64)[by_dct_octave(SHAPE).index]


def by_octaves(x_t, y):
    return inverse_dct(OCTAVES * dct(y.flatten(1), SHAPE), SHAPE).reshape(y.shape)


def by_patterns(x_t, y):
    """What the lowest frequencies of y show lands on other pixels."""
    lowest = patterns(SHAPE)
    dense = 0.3 * keyed_noise(5, "w", 0, 0, torch.arange(len(lowest)), SHAPE).flatten(1)
    return (y.flatten(1) @ lowest.T @ dense).reshape(y.shape)


DAMAGES = {
    "scale": lambda x_t, y: 0.2 * y,
    "pixel": lambda x_t, y: PIXELS * y + 0.1 * x_t - 0.2,
    "channel": lambda x_t, y: y * torch.tensor([0.2, -0.3]).double().reshape(2, 1, 1),
    "octave": by_octaves,
    "low rank": by_patterns,
}


def made(
    network, order=1, policy=CERTIFIED, schedule=SCHEDULE, target=NOISE, times=None, **options
):
    return calibrate(
        network, schedule, target=target, images=options.pop("of", IMAGES),
        times=times or TIMES, order=order, policy=policy, **options,
    )  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_an_affine_misfit_of_an_exact_model_is_removed(name):
    network = damaged(DAMAGES[name])
    calibration = made(network)
    calibrated = Calibrated(network, calibration)
    for t in TIMES:
        x_t = SCHEDULE.alpha(torch.tensor(t)) * HELD_OUT + SCHEDULE.sigma(
            torch.tensor(t)
        ) * keyed_noise(1, "e", 0, 0, torch.arange(200), SHAPE)
        time = torch.full((200,), t, dtype=torch.float64)
        before, after, truth = (f(x_t, time) for f in (network, calibrated, exact()))
        left = (after - truth).square().mean() / (before - truth).square().mean()
        assert left < 0.1


def test_the_loss_falls_by_the_predicted_amount():
    """The explained energy E|damage|^2: of 0.2 y it is 0.04 E|y|^2, and y's energy is known."""
    calibration = made(damaged(DAMAGES["scale"]))
    validation = validate(damaged(DAMAGES["scale"]), calibration, images=HELD_OUT, draws=4)
    for k, t in enumerate(TIMES):
        time = torch.tensor(t).double()
        alpha, sigma = SCHEDULE.alpha(time), SCHEDULE.sigma(time)
        energy = 32 * 0.04 * sigma**2 / (alpha**2 * DEVIATION**2 + sigma**2)
        gain = validation.gain()[k]
        assert gain.value == pytest.approx(energy.item(), rel=0.1)
        assert calibration.slopes.certificates[k] < energy
        assert calibration.slopes.gains[k].item() == pytest.approx(energy.item(), rel=0.25)
        assert validation.shift_gains.mean(0)[k].abs() < energy / 20


@pytest.mark.parametrize("seed", range(5))
def test_an_exact_model_is_left_alone(seed):
    calibration = made(exact(), seed=seed)
    assert set(calibration.slopes.kinds) == {"none"}
    assert not calibration.slopes.pixel.any()
    assert calibration.slopes.cosine is None


WAYS = {
    "pixel": lambda shape: [by_pixel(shape)],
    "octave": lambda shape: [by_dct_octave(shape)],
    "low rank": lambda shape: [],
}


@pytest.mark.parametrize("name", WAYS)
def test_every_kind_of_slopes_does_what_it_says(name, monkeypatch):
    """Noise energies, gains and the misfit removed, by running the calibrated network."""
    monkeypatch.setattr("theory.estimators.slope_fit.partitions", WAYS[name])
    monkeypatch.setattr("theory.estimators.slope_fit._ridges", lambda _: (0.01,))
    if name != "low rank":
        monkeypatch.setattr("theory.estimators.slope_fit._low_rank_candidates", lambda *_: iter(()))
    network = damaged(DAMAGES[name])
    calibration = made(network)
    assert set(calibration.slopes.kinds) == {name}
    validation = validate(network, calibration, images=HELD_OUT, draws=4)
    gains = validation.gains - validation.shift_gains
    error = gains.std(0) / len(gains) ** 0.5
    assert ((gains.mean(0) - calibration.slopes.gains).abs() < 5 * error).all()
    assert (error < 0.2 * calibration.slopes.gains).all()
    fresh, e = images(4000, "fresh"), keyed_noise(3, "e", 0, 0, torch.arange(4000), SHAPE)
    for k, t in enumerate(TIMES):
        time = torch.full((4000,), t, dtype=torch.float64)
        x_t = SCHEDULE.alpha(time[0]) * fresh + SCHEDULE.sigma(time[0]) * e
        for column, predict in enumerate((network, Calibrated(network, calibration))):
            energy = predict(x_t, time).square().mean().item()
            assert calibration.noise_energy[k, column].item() == pytest.approx(energy, rel=0.04)


def test_less_careful_policies_apply_more_than_is_certain():
    weak = damaged(lambda x_t, y: 0.02 * PIXELS * y)
    certified, shrunk = (made(weak, policy=p).slopes.kinds for p in (CERTIFIED, SHRUNK))
    assert certified.count("none") > shrunk.count("none")


def test_it_works_in_the_units_of_other_schedules_and_targets():
    schedule, times = EDM(0.002, 80.0), [0.05, 0.5, 5.0, 50.0]
    network = damaged(DAMAGES["scale"], schedule, DATA)
    calibration = made(network, schedule=schedule, target=DATA, times=times)
    validation = validate(network, calibration, images=HELD_OUT)
    loss_of_exact = validate(
        exact(schedule, DATA),
        made(exact(schedule, DATA), schedule=schedule, target=DATA, times=times),
        images=HELD_OUT,
    ).losses.mean(0)
    left = validation.losses.mean(0) - validation.gains.mean(0) - loss_of_exact
    assert (left < 0.1 * (validation.losses.mean(0) - loss_of_exact)).all()


def test_slopes_are_interpolated_between_times_and_nothing_is_known_outside():
    network = damaged(DAMAGES["scale"])
    calibration = made(network, times=[0.3, 0.4, 0.5])
    x_t = HELD_OUT[:3]
    t = torch.tensor([0.35], dtype=torch.float64)
    y = network(x_t, t)
    inside = calibration.correction(x_t, t, y)
    truth = y - exact()(x_t, t)
    assert (inside - truth).square().sum() < 0.05 * truth.square().sum()
    assert not calibration.correction(x_t, torch.tensor([0.9]).double(), y).any()


def test_one_time_for_all_is_one_time_for_each():
    calibration = made(damaged(DAMAGES["octave"]))
    x_t, y = HELD_OUT[:3], HELD_OUT[3:6]
    t = torch.tensor([0.5, 0.5, 0.7], dtype=torch.float64)
    together = calibration.correction(x_t, t, y)
    for k in range(3):
        alone = calibration.correction(x_t[k : k + 1], t[k : k + 1], y[k : k + 1])
        assert torch.allclose(together[k], alone[0], atol=1e-12)


def test_a_reference_is_what_is_repaired_toward():
    """A teacher that is wrong itself: the repair ends at the teacher, not at the truth."""
    teacher = damaged(lambda x_t, y: 0.1 * y + 0.5)
    student = damaged(lambda x_t, y: 0.3 * y + 0.5)
    calibration = made(student, reference=teacher)
    x_t, t = HELD_OUT, torch.full((200,), 0.8, dtype=torch.float64)
    left = Calibrated(student, calibration)(x_t, t) - teacher(x_t, t)
    before = student(x_t, t) - teacher(x_t, t)
    assert left.square().mean() < 10 / len(IMAGES) * before.square().mean()
    assert left.var(0).max() < 1e-10  # what is left is the error of a mean of as many draws
    assert max(e.value for e in calibration.eta_sq) < 0.01


def test_a_budget_can_have_order_one():
    calibration = made(damaged(DAMAGES["scale"]), goal=Goal(evaluations=1500))
    assert "none" not in calibration.slopes.kinds
    assert calibration.provenance["evaluations"] <= 1500


def test_two_images_are_too_few():
    calibration = made(damaged(DAMAGES["scale"]), of=IMAGES[:2])
    assert set(calibration.slopes.kinds) == {"none"}
    assert calibration.total_certificate == -torch.inf


def test_other_orders_are_refused():
    with pytest.raises(InputError, match="order: expected 0 or 1, got 2"):
        made(exact(), order=2)


def test_the_certified_gain_is_of_all_that_is_applied():
    network = damaged(DAMAGES["pixel"])
    calibrated = Calibrated(network, made(network))
    calibration = calibrated.calibration
    t = torch.tensor(TIMES[:2], dtype=torch.float64)
    gain = validate(network, calibration, images=HELD_OUT).gains.mean(0)[:2]
    certified = calibrated.certified_gain(t)
    of_shift = torch.where(calibration.weights > 0, calibration.certificates, 0.0)[:2]
    assert torch.allclose(certified, of_shift + calibration.slopes.certificates[:2])
    assert (certified < gain).all()
    assert calibrated.total_certificate == calibration.total_certificate > 0


def test_slopes_are_not_interpolated_across_a_wide_gap():
    network = damaged(DAMAGES["scale"])
    calibration = made(network, times=[0.3, 0.9])
    x_t, y = HELD_OUT[:3], HELD_OUT[3:6]
    for t, sloped in ((0.3, True), (0.6, False), (0.9, True)):
        time = torch.tensor([t], dtype=torch.float64)
        correction = calibration.correction(x_t, time, y)
        assert torch.equal(correction.expand_as(y), calibration.at(time).expand_as(y)) != sloped


@pytest.mark.parametrize("n", [4, 8])
def test_what_few_images_certify_is_gained(n):
    """Means are those of the other images too: a mean of all tells of the one that is left out."""
    network = damaged(lambda x_t, y: (40 * x_t).sin())
    wrong = 0
    for k in range(8):
        calibration = made(network, of=images(n, f"few {k}"), times=[0.1, 0.3, *TIMES[1:]])
        gain = validate(network, calibration, images=HELD_OUT).bound_gain()
        wrong += gain.value < calibration.total_certificate
    assert wrong <= 2  # at 95 % more are seen with a chance of 0.006


def test_a_pixel_that_stood_still_does_little_harm_when_it_moves():
    """x_t tells the noise there; if one image in n moved, it would lose no more than the noise itself."""
    n, still = 60, torch.arange(32).reshape(SHAPE) % 4 > 0
    given = torch.where(still, MEAN, images(n))
    calibration = made(lambda x_t, t, condition=None: 0 * x_t, of=given, times=[0.01, 0.02])
    assert calibration.slopes.applied.all()
    for t in calibration.times:
        at_rest = torch.full((1, *SHAPE), MEAN, dtype=torch.float64)
        moved = at_rest + DEVIATION * still
        nothing = torch.zeros_like(at_rest)
        change = calibration.correction(moved, t[None], nothing) - calibration.correction(
            at_rest, t[None], nothing
        )
        assert change[0, still].square().mean() / n < 1


def statistics_of_a_pass():
    """What is known of each time, of a network whose misfit is another one at every time."""
    predict = damaged(lambda x_t, y: 0.2 * y + 0.1 * x_t)
    problem = pose(
        Network(predict, SCHEDULE, NOISE), ImageSet(IMAGES[:96]), SCHEDULE.times(TIMES), parts_of(1),
        seed=0,
    )  # fmt: skip
    passed = full_pass(problem, REGRESSION, 1)
    return passed.sums[SlopesEstimator()], problem.grid.log_snr


def test_slopes_are_smoothed_in_the_units_of_their_own_time():
    """x_t and y_theta are of another size at every time: what is alike is the slope times that size."""
    statistics, log_snr = statistics_of_a_pass()
    given, cells = _Given.of(statistics, log_snr), by_pixel(SHAPE)
    size = given.whole[:, [XX, YY]].sqrt()

    def slopes(matrix):
        return given.slopes(_SlopesTried(cells, 0.1, matrix, torch.zeros(1, 4).double()), cells)

    alone = slopes(torch.eye(4).double())
    averaged = slopes(torch.full((4, 4), 0.25, dtype=torch.float64))
    assert torch.allclose(averaged, (alone * size).mean(0) / size)
    assert size.std(0).min() > 0.01


def test_every_ridge_and_smoothing_has_the_gain_that_it_has_alone():
    statistics, log_snr = statistics_of_a_pass()
    matrices = [torch.eye(4).double(), torch.full((4, 4), 0.25, dtype=torch.float64)]
    given, cells = replace(_Given.of(statistics, log_snr), matrices=matrices), by_pixel(SHAPE)
    together = _candidates(given, cells)
    assert len(together) == 2 * len(RIDGES)
    for matrix in matrices:
        of_matrix = [tried for tried in together if tried.matrix is matrix]
        alone = _candidates(replace(given, matrices=[matrix]), cells)
        assert [tried.ridge for tried in of_matrix] == [tried.ridge for tried in alone]
        for one, other in zip(of_matrix, alone, strict=True):
            assert torch.allclose(one.gains, other.gains)
    assert len({tried.gains.sum().item() for tried in together}) == len(together)


def test_what_is_unseen_of_a_cell_is_that_of_each_of_its_coordinates():
    statistics, log_snr = statistics_of_a_pass()
    given = _Given.of(statistics, log_snr)
    for cells, sizes in (
        (by_channel(SHAPE), [16.0, 16.0]),
        (by_dct_octave(SHAPE), [2.0, 6.0, 22.0, 2.0]),
    ):
        for k, of_time in enumerate(statistics):
            expected = of_time.unseen[:, None] * torch.tensor(sizes).double()
            assert torch.allclose(given.unseen(cells)[k], expected)
