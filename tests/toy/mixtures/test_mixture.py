"""Mixtures against automatic differentiation, scipy, and the exact law of what they sample."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import chi2, kstest, multivariate_normal, norm

from theory.diffusion.schedules import VPLinear
from theory.support.errors import InputError
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture
from toy.strategies.mixtures import Components, components

LEVEL = 1e-6
DIMENSIONS = [1, 2, 3]


@st.composite
def cases(draw, dimension):
    """Components, and a point within five deviations of one of them, (1, d)."""
    made = draw(components(dimension, reach=5.0, least=0.2))
    near = draw(st.integers(0, len(made.weights) - 1))
    offset = draw(st.lists(st.floats(-5, 5), min_size=dimension, max_size=dimension))
    mean, deviation = (
        torch.tensor(rows[near], dtype=torch.float64) for rows in (made.means, made.deviations)
    )
    return made, (mean + torch.tensor(offset, dtype=torch.float64) * deviation)[None]


def any_case():
    return st.one_of(*map(cases, DIMENSIONS))


TURNED = Components(
    weights=(0.5, 0.3, 0.2),
    means=((-1.0, 0.5), (2.0, 0.0), (0.0, -2.0)),
    deviations=((0.4, 1.5), (1.0, 0.3), (0.7, 0.7)),
    angles=(0.5, 2.0, 0.0),
)
POINT = torch.tensor([[0.3, -0.4]], dtype=torch.float64)


def score_error(law, x, score):
    """Against the gradient of the log density, relative to the components' scores."""
    x = x.clone().requires_grad_()
    (exact,) = torch.autograd.grad(law.log_density(x).sum(), x)
    size = 1 + law.component_scores(x).abs().max()
    return ((score - exact).abs().max() / size).item()


@given(any_case())
def test_score_is_the_gradient_of_the_log_density(case):
    law, x = case[0].mixture(), case[1]
    assert score_error(law, x, law.score(x)) < 1e-10


def hessian_error(law, x, hessian):
    """Against the derivative of the score, relative to the squares that it is made of."""
    exact = torch.autograd.functional.jacobian(lambda x: law.score(x)[0], x)[:, 0]
    size = law.precisions().abs().max() + law.component_scores(x).abs().max() ** 2
    return ((hessian[0] - exact).abs().max() / size).item()


@given(any_case())
def test_hessian_is_the_derivative_of_the_score(case):
    law, x = case[0].mixture(), case[1]
    assert hessian_error(law, x, law.hessian(x)) < 1e-10


def log_density_error(law, made, x):
    """Against scipy's densities and logsumexp."""
    covariances = made.mixture().covariances().numpy()
    logs = [
        np.log(w) + multivariate_normal(np.array(m), c).logpdf(x.numpy()[0])
        for w, m, c in zip(made.weights, made.means, covariances, strict=True)
    ]
    exact = logsumexp(logs) - np.log(sum(made.weights))
    return abs(law.log_density(x).item() - exact) / (1 + abs(exact))


@given(any_case())
def test_log_density_is_scipys(case):
    made, x = case
    assert log_density_error(made.mixture(), made, x) < 1e-11


def test_mistaken_mixtures_are_told_apart():
    law = TURNED.mixture()
    unturned = replace(law, rotations=None)
    unweighted = replace(law, log_weights=torch.zeros(3, dtype=torch.float64))
    assert score_error(law, POINT, law.score(POINT)) < 1e-12
    assert hessian_error(law, POINT, law.hessian(POINT)) < 1e-12
    assert log_density_error(law, TURNED, POINT) < 1e-12
    for mistaken in (unturned, unweighted):
        assert score_error(law, POINT, mistaken.score(POINT)) > 1e-3
        assert hessian_error(law, POINT, mistaken.hessian(POINT)) > 1e-3
        assert log_density_error(mistaken, TURNED, POINT) > 1e-2


def test_covariances_are_turned_axes():
    rotation = torch.tensor([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    expected = rotation @ torch.diag(torch.tensor([0.16, 2.25], dtype=torch.float64)) @ rotation.T
    law = TURNED.mixture()
    assert (law.covariances()[0] - expected).abs().max() < 1e-12
    assert (law.precisions() @ law.covariances() - torch.eye(2)).abs().max() < 1e-12
    assert (law.covariances()[1] - expected).abs().max() > 0.1


def difference(one, other, x):
    """Largest difference of log density, score and Hessian, relative to the squares of scores."""
    size = 1 + one.component_scores(x).abs().max() ** 2 + one.precisions().abs().max()
    pairs = ((f(one, x), f(other, x)) for f in (
        GaussianMixture.log_density, GaussianMixture.score, GaussianMixture.hessian
    ))  # fmt: skip
    return max(((a - b).abs().max() / size).item() for a, b in pairs)


@given(st.one_of(cases(2), cases(3)))
def test_full_covariances_with_axes_unturned_are_diagonal(case):
    made, x = case
    weights, means, deviations = (
        torch.tensor(numbers, dtype=torch.float64)
        for numbers in (made.weights, made.means, made.deviations)
    )
    diagonal = GaussianMixture.diagonal(weights, means, deviations**2)
    full = GaussianMixture.full(weights, means, torch.diag_embed(deviations**2))
    assert difference(full, diagonal, x) < 1e-12


def test_turned_axes_are_not():
    assert difference(TURNED.mixture(), replace(TURNED, angles=(0.0,) * 3).mixture(), POINT) > 1e-2


def test_isotropic_components_are_diagonal_ones():
    weights, means = torch.ones(2), torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    short = GaussianMixture.diagonal(weights, means, torch.tensor([0.5, 2.0]))
    long = GaussianMixture.diagonal(weights, means, torch.tensor([[0.5, 0.5], [2.0, 2.0]]))
    assert torch.equal(short.variances, long.variances)
    assert torch.equal(short.score(POINT), long.score(POINT))


def extreme():
    """One heavy component, and one of weight 1e-12."""
    return GaussianMixture.diagonal(
        torch.tensor([1.0, 1e-12]).double(),
        torch.tensor([[0.0], [5.0]]).double(),
        torch.tensor([1.0, 0.25]).double(),
    )


def linear_space_score(law, x):
    """A mistake: densities summed as they are, which underflow."""
    parts = torch.exp(law.log_components(x))
    return (parts[..., None] * law.component_scores(x)).sum(-2) / parts.sum(-1)[..., None]


def are_finite(*tensors):
    return all(bool(torch.isfinite(x).all()) for x in tensors)


@pytest.mark.parametrize("deviations", [-1e3, 1e3, 1e6])
def test_everything_is_finite_far_away(deviations):
    law, x = extreme(), torch.tensor([[deviations]], dtype=torch.float64)
    assert are_finite(law.log_density(x), law.score(x), law.hessian(x), law.responsibilities(x))
    wide = torch.tensor(deviations, dtype=torch.float64)
    assert law.score(x).item() == pytest.approx(-wide.item(), rel=1e-12)
    assert not are_finite(linear_space_score(law, x))


def test_tiny_weights_count_where_they_are():
    law, x = extreme(), torch.tensor([[12.0]], dtype=torch.float64)
    logs = [norm.logpdf(12), np.log(1e-12) + norm.logpdf(12, 5, 0.5)]
    assert law.log_density(x).item() == pytest.approx(logsumexp(logs), rel=1e-10)
    middle = torch.tensor([[5.0]], dtype=torch.float64)
    share = 2e-12 / (2e-12 + np.exp(-12.5))
    assert law.responsibilities(middle)[0, 1].item() == pytest.approx(share, rel=1e-9)


def test_mean():
    assert TURNED.mixture().mean().tolist() == pytest.approx([0.1, -0.15], rel=1e-12)
    heavier = replace(TURNED, weights=(0.6, 0.3, 0.2)).mixture()
    assert heavier.mean().tolist() != pytest.approx([0.1, -0.15], rel=1e-2)


SAMPLES = 20_000


def samples(law, n=SAMPLES, seed=0):
    return law.sample(torch.Generator().manual_seed(seed), n)


def projection_p_value(law, drawn, direction):
    """Kolmogorov and Smirnov's test of u.x, a mixture of normals on the line."""
    u = torch.tensor(direction, dtype=torch.float64)
    means = (law.means @ u).numpy()
    deviations = torch.einsum("i,kij,j->k", u, law.covariances(), u).sqrt().numpy()
    weights = torch.exp(law.log_weights).numpy()

    def distribution(x):
        return norm.cdf((x[:, None] - means) / deviations) @ weights

    return kstest((drawn @ u).numpy(), distribution).pvalue


def least_p_value(law, drawn):
    directions = [(1.0, 0.0), (0.0, 1.0), (0.6, 0.8), (0.8, -0.6)]
    return len(directions) * min(projection_p_value(law, drawn, u) for u in directions)


def test_samples_have_the_mixtures_law():
    assert least_p_value(TURNED.mixture(), samples(TURNED.mixture())) >= LEVEL


def test_samples_of_other_laws_are_told_apart():
    law = TURNED.mixture()
    for mistaken in (
        replace(law, rotations=None),
        replace(law, variances=law.variances**2),
        replace(law, log_weights=torch.full((3,), 1 / 3, dtype=torch.float64).log()),
    ):
        assert least_p_value(law, samples(mistaken)) < LEVEL


def standardized_p_values(law, drawn):
    """Two-sided, of the mean and of the squares of C^(-1/2) (x - m): exactly chi-squared."""
    z = law.centred(drawn)[:, 0] / law.variances[0].sqrt()
    n, d = z.shape
    square_of_mean, squares = (n * z.mean(0).square().sum()).item(), z.square().sum().item()
    tails = [chi2(d).sf(square_of_mean), chi2(n * d).cdf(squares), chi2(n * d).sf(squares)]
    return 2 * min(tails)


@pytest.mark.parametrize("k", range(3))
def test_mean_and_covariance_of_each_component(k):
    one = {
        name: (getattr(TURNED, name)[k],) for name in ("weights", "means", "deviations", "angles")
    }
    law = Components(**one).mixture()
    drawn = samples(law, seed=k)
    assert standardized_p_values(law, drawn) >= LEVEL
    assert standardized_p_values(law, drawn + 0.1) < LEVEL
    assert standardized_p_values(law, law.means + 1.1 * (drawn - law.means)) < LEVEL


def test_a_batch_of_mixtures_samples_each_from_its_own():
    law = TURNED.mixture()
    weights = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]], dtype=torch.float64)
    shifts = torch.tensor([[[0.0, 0.0]], [[3.0, 1.0]]], dtype=torch.float64)
    batch = replace(law, log_weights=weights.log(), means=law.means + shifts)
    drawn = samples(batch)
    assert drawn.shape == (SAMPLES, 2, 2)
    for i in range(2):
        own = replace(law, log_weights=weights[i].log(), means=law.means + shifts[i])
        assert least_p_value(own, drawn[:, i]) >= LEVEL
        assert least_p_value(own, drawn[:, 1 - i]) < LEVEL


ONES, MEANS, EYES = torch.ones(2), torch.zeros(2, 3), torch.eye(3).repeat(2, 1, 1)
UPPER = torch.ones(3, 3).triu(1)
SMALL = 1e-6 * EYES
REFUSED = {
    "zero weight": (lambda: GaussianMixture.diagonal(0 * ONES, MEANS, ONES), "positive weights"),
    "zero variance": (lambda: GaussianMixture.diagonal(ONES, MEANS, 0 * ONES), "positive"),
    "NaN variance": (lambda: GaussianMixture.diagonal(ONES, MEANS, ONES * torch.nan), "positive"),
    "too many weights": (
        lambda: GaussianMixture.diagonal(torch.ones(3), MEANS, ONES),
        r"expected weights \(K,\), means \(K, d\), .* got \(3,\), \(2, 3\), \(2, 1\)",
    ),
    "flat means": (lambda: GaussianMixture.diagonal(ONES, ONES, ONES), r"got \(2,\), \(2,\)"),
    "other dimension": (lambda: GaussianMixture.diagonal(ONES, MEANS, torch.ones(2, 2)), "got"),
    "flat covariances": (lambda: GaussianMixture.full(ONES, MEANS, ONES), r"\(K, d, d\), got \(2,\)"),
    "small covariances": (
        lambda: GaussianMixture.full(ONES, MEANS, torch.eye(2).repeat(2, 1, 1)), r"got \(2, 2, 2\)"
    ),
    "indefinite": (lambda: GaussianMixture.full(ONES, MEANS, -EYES), "positive weights and variances"),
    "NaN mean": (lambda: GaussianMixture.diagonal(ONES, MEANS * torch.nan, ONES), "finite"),
    "infinite weight": (lambda: GaussianMixture.diagonal(ONES * torch.inf, MEANS, ONES), "finite"),
    "infinite variance": (lambda: GaussianMixture.diagonal(ONES, MEANS, ONES * torch.inf), "finite"),
    "NaN mean, full": (lambda: GaussianMixture.full(ONES, MEANS * torch.nan, EYES), "finite"),
    "NaN covariance": (lambda: GaussianMixture.full(ONES, MEANS, EYES * torch.nan), "finite sym"),
    "infinite covariance": (lambda: GaussianMixture.full(ONES, MEANS, EYES + torch.inf), "finite sym"),
    "asymmetric": (lambda: GaussianMixture.full(ONES, MEANS, EYES + 0.1 * UPPER), "symmetric"),
    "asymmetric, small": (lambda: GaussianMixture.full(ONES, MEANS, SMALL + 1e-8 * UPPER), "symm"),
    "no covariances": (lambda: GaussianMixture.full(ONES, MEANS, EYES[:0]), "got"),
    "too few covariances": (lambda: GaussianMixture.full(ONES, MEANS, EYES[:1]), "got"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_mixtures_are_refused(name):
    make, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        make()


def test_good_mixtures_are_not():
    for law in (
        GaussianMixture.diagonal(3 * ONES, MEANS, ONES),
        GaussianMixture.full(ONES, MEANS, EYES),
    ):
        assert law.dimension == 3
        assert torch.exp(law.log_weights).tolist() == pytest.approx([0.5, 0.5])


def test_what_rounding_leaves_of_symmetry_passes():
    law = GaussianMixture.full(ONES, MEANS, (EYES + 1e-8 * UPPER).float())
    assert (law.covariances() == law.covariances().mT).all()


def test_atoms_are_the_limit_of_narrow_components():
    weights, points = torch.tensor([1.0, 3.0]), torch.tensor([[-1.0, 0.0], [2.0, 1.0]])
    atoms = GaussianMixture.atoms(weights, points)
    narrow = GaussianMixture.diagonal(weights, points, torch.full((2,), 1e-14))
    x = torch.tensor([0.3, 0.4], dtype=torch.float64)
    one, other = (Diffusion(law, VPLinear()) for law in (atoms, narrow))
    torch.testing.assert_close(one.martingale(x, 0.3), other.martingale(x, 0.3))
    assert not torch.equal(one.martingale(x, 0.3), one.martingale(x, 0.4))
    assert atoms.variances.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert not atoms.score(points[0].double()).isfinite().all()


def test_rounding_of_a_large_covariance_is_no_asymmetry():
    rough = GaussianMixture.full(ONES, MEANS, 1e9 * (EYES.double() + 1e-8 * UPPER))
    assert torch.allclose(rough.variances, torch.full_like(rough.variances, 1e9))


def test_samples_have_the_covariance_of_a_rotation_that_is_no_reflection():
    """Eigenvectors of a plane that LAPACK gives are symmetric matrices, which hide a transposition."""
    c, s = np.cos(0.5), np.sin(0.5)
    rotation = torch.tensor([[[c, -s], [s, c]]], dtype=torch.float64)
    variances = torch.tensor([[0.16, 2.25]], dtype=torch.float64)
    law = GaussianMixture(torch.zeros(1).double(), torch.zeros(1, 2).double(), variances, rotation)
    n = 20_000
    samples = law.sample(torch.Generator().manual_seed(0), n)
    error = 6 * 2.25 * np.sqrt(2 / n)
    torch.testing.assert_close(samples.T @ samples / n, law.covariances()[0], atol=error, rtol=0)
    assert law.covariances()[0, 0, 1] < -2 * error
