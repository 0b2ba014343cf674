"""A choice by samples: what wins, what is never chosen, and which trials have a part in it."""

from dataclasses import replace
from statistics import NormalDist

import pytest
import torch
from scipy.stats import t as student

from real.images.base import ImageSource
from real.quality.choice import DECIDING, ROUNDS, Distances, Fall, choose
from real.quality.features import PIXELS
from real.quality.measure import Reference, Sampler
from real.quality.trials import CHOOSING_SEED, DECIDING_SEED, Trials
from real.solvers.sampling import Samples, latents, sample
from tests.real.exact import MEAN, VARIANCE, exact_checkpoint

NAMES = ("nothing", "a", "b", "c", "d", "e")


def measure(levels, spread=0.0, asked=None, frechet=None):
    """Distances at these levels, and normal noise that all names of a trial share but for a tenth."""

    def of(name, trial):
        if asked is not None:
            asked.append((name, trial))
        places = [NormalDist().inv_cdf(((7 * trial + k) % 19 + 1) / 20) for k in (0, len(name))]
        value = levels[name] + spread * (places[0] + 0.1 * places[1])
        return Distances(value, (frechet or levels)[name] + spread * places[0])

    return of


LEVELS = dict(zip(NAMES, (5.0, 4.0, 6.0, 1.0, 3.0, 9.0), strict=True))


def test_the_best_is_chosen_if_it_is_certain():
    found = choose(NAMES, measure(LEVELS, 1.0), measure(LEVELS, 0.1))
    assert (found.chosen, found.best) == ("c", "c")
    assert found.kernel.fall.value == pytest.approx(4, abs=0.1)
    assert found.kernel.fall.lower > 0


def test_halves_go_after_each_round_and_nothing_stays():
    asked = []
    found = choose(NAMES, measure(LEVELS, 0.0, asked), measure(LEVELS))
    trials = {name: len(found.tried[name]) for name in NAMES}
    assert trials == {"nothing": 8, "c": 8, "d": 8, "a": 4, "b": 2, "e": 2}
    assert len(asked) == len(set(asked)) == sum(trials.values())  # none is measured twice
    assert tuple(sorted({*trials.values()})) == ROUNDS


@pytest.mark.parametrize(
    "others",
    [
        dict.fromkeys(NAMES[1:], 5.1),  # all a little worse
        dict.fromkeys(NAMES[1:], 4.9999),  # better by less than the noise
    ],
)
def test_nothing_is_chosen_where_nothing_is_certainly_better(others):
    found = choose(NAMES, measure(LEVELS), measure({"nothing": 5.0} | others, 0.1))
    assert (found.chosen, found.best) == ("nothing", "c")


def test_luck_in_choosing_does_not_decide():
    """What won by chance is judged on other trials: there it is as good as nothing."""
    same = measure(dict.fromkeys(NAMES, 5.0), 0.5)
    assert choose(NAMES, measure(LEVELS), same).chosen == "nothing"


def test_both_distances_must_fall():
    worse = {**LEVELS, "c": 5.5}
    found = choose(NAMES, measure(LEVELS), measure(LEVELS, frechet=worse))
    assert (found.kernel.fall.lower > 0, found.chosen) == (True, "nothing")
    found = choose(NAMES, measure(LEVELS), measure(worse, frechet=LEVELS))
    assert found.chosen == "nothing"


def test_ways_compete_by_the_kernel_distance_alone():
    """It is unbiased; the Frechet distances would have it the other way round."""
    turned = {name: 10 - level for name, level in LEVELS.items()}
    found = choose(NAMES, measure(LEVELS, frechet=turned), measure(LEVELS))
    assert (found.best, found.chosen) == ("c", "c")


def test_either_end_of_a_fall_is_a_bound_of_95_percent():
    """Student's: 3 of the four falls' deviations over the root of their number, one-sided."""
    before, after = [5.0, 7.0, 6.0, 9.0], [4.0, 4.0, 5.0, 4.0]
    falls = torch.tensor([1.0, 3.0, 1.0, 5.0]).double()
    half = student.ppf(0.95, 3) * falls.std().item() / 2
    found = Fall.of(before, after)
    assert (found.before.value, found.after.value, found.fall.value) == (6.75, 4.25, 2.5)
    assert found.fall.lower == pytest.approx(2.5 - half)
    assert found.fall.upper == pytest.approx(2.5 + half)


def trials_of(seen, seed=0, solver="ddim"):
    checkpoint = exact_checkpoint("table")
    noise = torch.randn(72, 2, 1, 1, generator=torch.Generator().manual_seed(1))
    images = ImageSource.of("some", (MEAN + VARIANCE.sqrt() * noise).float())
    halves = images.every_other(0), images.every_other(1)
    choosing, deciding = (Reference.of(PIXELS, half, "cpu") for half in halves)

    def predict(x_t, t, condition=None):
        seen.append(x_t)
        return checkpoint.predict(x_t, t)

    samplers = {name: Sampler(predict, solver) for name in ("nothing", "too")}
    return checkpoint, Trials(
        checkpoint, samplers, {"nothing": 2, "too": 2}, choosing, deciding, 32, None, seed, 256
    )


def test_names_of_a_trial_share_their_noise_and_trials_do_not():
    seen = []
    checkpoint, trials = trials_of(seen)
    a, b = trials.to_choose("nothing", 1), trials.to_choose("too", 1)
    assert a == b
    c = trials.to_decide("nothing", 1)
    firsts = seen[::2]
    assert torch.equal(firsts[0], firsts[1])
    assert not torch.equal(firsts[0], firsts[2])
    for first, base in ((firsts[0], CHOOSING_SEED), (firsts[2], DECIDING_SEED)):
        noise = latents(checkpoint, 32, base + 1)
        assert torch.allclose(first / first.std(), noise / noise.std(), atol=1e-4)
    assert c.kernel != a.kernel


def test_deciding_trials_share_no_image():
    seen = []
    _, trials = trials_of(seen)
    rows = trials.deciding.rows
    parts = [rows[k::DECIDING] for k in range(DECIDING)]
    assert torch.equal(torch.cat(parts).sort(0).values, rows.sort(0).values)
    assert not {tuple(r.tolist()) for r in rows} & {tuple(r.tolist()) for r in trials.choosing.rows}
    one = trials.to_decide("nothing", 0).kernel
    moved = rows.clone()
    moved[1::DECIDING] += 100.0  # the images of another trial
    changed = Trials(
        **{**vars(trials), "deciding": Reference(PIXELS, moved, trials.deciding.mean, "cpu")}
    )
    assert changed.to_decide("nothing", 0).kernel == one
    assert changed.to_decide("nothing", 1).kernel != trials.to_decide("nothing", 1).kernel


@pytest.mark.parametrize(
    ("ask", "base"), [("to_choose", CHOOSING_SEED), ("to_decide", DECIDING_SEED)]
)
def test_all_noise_of_a_trial_is_of_the_seed_and_the_trial(ask, base):
    """Of the start, and what a stochastic solver adds on its way."""
    for seed, trial in ((9, 2), (9, 3), (4, 2)):
        seen, expected = [], []
        checkpoint, trials = trials_of(seen, seed, "ddpm")
        getattr(trials, ask)("too", trial)

        def predict(x_t, t, condition=None, shown=expected, own=checkpoint.predict):
            shown.append(x_t)
            return own(x_t, t)

        key = seed + base + trial
        noise = latents(checkpoint, 32, key)
        sample(checkpoint, predict, noise, solver="ddpm", nfe=2, seed=key, batch_size=256)
        assert len(seen) == len(expected) == 2
        assert all(map(torch.equal, seen, expected))


@pytest.mark.parametrize("ask", ["to_choose", "to_decide"])
def test_each_way_is_drawn_in_a_trial_as_it_is_to_be_used(ask, monkeypatch):
    calls, condition, progress = [], torch.arange(32), [].append

    def watched(checkpoint, predict, noise, **options):
        calls.append((predict, options))
        return Samples(torch.randn(32, 2, 1, 1), "its name", 7, 0.0)

    monkeypatch.setattr("real.quality.trials.sample", watched)
    samplers = {"a": Sampler(torch.sin, "ddim"), "b": Sampler(torch.cos, "unipc")}
    nfe, more = {"a": 2, "b": 4}, {"condition": condition, "batch_size": 5, "on_progress": progress}
    trials = replace(trials_of([])[1], samplers=samplers, nfe=nfe, **more)
    with torch.random.fork_rng(devices=[]):
        getattr(trials, ask)("b", 1)
    ((predict, options),) = calls
    assert predict is torch.cos and options.pop("seed") > 0
    assert options == {"solver": "unipc", "nfe": 4, **more}
