"""Calibration of conditional and guided models: each branch under its own law, then combined.

With y(x, c) the prediction for label c and eta(c) = E_{q_t(x|c)}[y(x, c)] - A E[x_0|c]:

- a guided prediction y(x) + w (y(x, c) - y(x)) is calibrated branch by branch;
- with a classifier, score(x) + grad log P(c|x) has mean zero under q_t(x|c);
- one joint shift over (x, c) is valid, and lowers the loss by |E eta(c)|^2 <= E|eta(c)|^2.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from toy.judge.claim import exact_claim
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.mixtures.planted_error import PlantedErrorModel
from toy.numerics.quadrature import expectation
from toy.numerics.relative_errors import relative_error
from toy.strategies.guided import GuidedCase, guided_cases
from toy.strategies.time_pairs import time_pairs

Law = Callable[[GuidedCase], Diffusion]
"""From a case to a diffusion of some of its labels."""


def label_diffusion(case: GuidedCase) -> Diffusion:
    """The diffusion of the case's label."""
    return case.of_label(case.label)


def joint_diffusion(case: GuidedCase) -> Diffusion:
    """The diffusion of all labels together."""
    return case.diffusion


def branch_mean_error(
    case: GuidedCase, model: PlantedErrorModel, law: Diffusion, data: Diffusion
) -> Tensor:
    """E[y_theta] - A E[x_0] by quadrature, under any law and for any data, (d,)."""
    t = case.times.t
    a, _ = case.target.coefficients(case.times.schedule, float64(t))
    mean = expectation(
        law.marginal(t),
        lambda x: model.at(x, t),
        scale=shortest_length(case),
        size=prediction_size(model, t),
    )
    return mean.value - a * data.data.mean()


def prediction_size(model: PlantedErrorModel, t: float) -> float:
    """Size of the terms of a prediction, to which its rounding is relative."""
    planted = float(model.constant(t).abs().max()) + abs(model.amplitude)
    return model.diffusion.target_size(model.target, t) + planted


def shortest_length(case: GuidedCase) -> float:
    """The shortest length over which any branch's prediction varies."""
    shortest = case.diffusion.marginal(case.times.t).variances.min().sqrt().item()
    return min(shortest, 1.0)


def conditional_error(
    case: GuidedCase, law: Law = label_diffusion, data: Law = label_diffusion
) -> float:
    """eta(c) by quadrature under q_t(x|c), against its closed form."""
    model = case.branch(case.label)
    by_quadrature = branch_mean_error(case, model, law(case), data(case))
    exact = model.eta(case.times.t)
    return relative_error(by_quadrature - exact, _size(case, case.label))


def joint_error(
    case: GuidedCase,
    joint: Callable[[Tensor, Tensor], Tensor] = lambda w, eta: w @ eta,
    by_label: Callable[[Tensor], Tensor] = lambda eta: eta,
) -> float:
    """Fall of the loss over (x, c): |E eta|^2 under a joint shift, E|eta|^2 under one per label.

    Relative to the squared size of predictions and shifts. It is an error as well if a joint shift
    lowers the loss by more than one shift per label does.
    """
    t, weights = case.times.t, case.weights
    models = [case.branch(k) for k in range(len(weights))]
    etas = torch.stack([model.eta(t) for model in models])
    shift, losses = joint(weights, etas), torch.zeros(3, dtype=torch.float64)
    size = shift.square().sum() + sum(prediction_size(model, t) ** 2 for model in models)
    for weight, eta, model in zip(weights, by_label(etas), models, strict=True):

        def terms(x: Tensor, model: PlantedErrorModel = model, eta: Tensor = eta) -> Tensor:
            """The loss without a shift, with the joint one, and with the label's own."""
            r = model.at(x, t) - model.exact(x, t)
            return torch.stack([r, r - shift, r - eta], 1).square().sum(2)

        law, scale = model.diffusion.marginal(t), shortest_length(case) / 2
        losses += weight * expectation(law, terms, scale=scale, size=size.item()).value
    before, jointly, by_label = losses
    falls = torch.stack([before - jointly, before - by_label, jointly - by_label])
    mean_sq, second = (weights @ etas).square().sum(), weights @ etas.square().sum(1)
    return relative_error(falls - torch.stack([mean_sq, second, second - mean_sq]), size)


def combined(case: GuidedCase, conditional: Tensor, unconditional: Tensor) -> Tensor:
    """Classifier-free guidance: y + w (y(c) - y)."""
    return unconditional + case.scale * (conditional - unconditional)


def branch_shift(case: GuidedCase) -> Tensor:
    """Each branch's shift under its own law and data, combined as the predictions are."""
    eta_c = branch_mean_error(
        case, case.branch(case.label), label_diffusion(case), label_diffusion(case)
    )
    eta = branch_mean_error(case, case.branch(-1), case.diffusion, case.diffusion)
    return combined(case, eta_c, eta)


def classifier_free_error(
    case: GuidedCase, shift: Callable[[GuidedCase], Tensor] = branch_shift
) -> float:
    """The calibrated guided prediction is the exact one and what is left of both waves, at x_t.

    Of a branch's error a sin(x) a constant shift leaves a sin(x) - a E sin under the branch's law,
    E sin(x) = sum_k P(k) exp(-v_k/2) sin(m_k) for the components N(m_k, v_k).
    """
    t, x_t, label = case.times.t, case.x_t(), case.label
    branches = case.branch(label), case.branch(-1)
    guided = combined(case, *(branch.at(x_t, t) for branch in branches))
    exact = combined(case, *(branch.exact(x_t, t) for branch in branches))
    laws = (branch.diffusion.marginal(t) for branch in branches)
    left = combined(case, *(case.amplitude * (torch.sin(x_t) - _mean_sine(law)) for law in laws))
    size = (1 + case.scale) * (_size(case, label) + _size(case, -1))
    return relative_error(guided - shift(case) - exact - left, size + exact.abs())


def _mean_sine(law: GaussianMixture) -> Tensor:
    variances = law.covariances().diagonal(dim1=-2, dim2=-1)
    return torch.exp(law.log_weights) @ (torch.exp(-variances / 2) * torch.sin(law.means))


def _constants_combined(case: GuidedCase) -> Tensor:
    """The mistake of the errors' constant parts alone, which suffices where there are no others."""
    return combined(case, *(float64(case.constants[k]) for k in (case.label, -1)))


def conditional_martingale(case: GuidedCase, x: Tensor, t: float) -> Tensor:
    """alpha_t grad log q_t(x|c)."""
    return label_diffusion(case).martingale(x, t)


def joint_martingale(case: GuidedCase, x: Tensor, t: float) -> Tensor:
    """alpha_t grad log q_t(x), of all labels together."""
    return case.diffusion.martingale(x, t)


def guided_martingale(case: GuidedCase, x: Tensor, t: float) -> Tensor:
    """alpha_t times the guided score, score + w (score(c) - score)."""
    return combined(case, conditional_martingale(case, x, t), joint_martingale(case, x, t))


def conditional_martingale_error(
    case: GuidedCase,
    process: Callable[[GuidedCase, Tensor, float], Tensor] = conditional_martingale,
) -> float:
    """|E[M_s(x_s|c)|x_t, c] - M_t(x_t|c)| for alpha grad log q(x|c), under q(x_s|x_t, c)."""
    s, t, x_t = case.times.s, case.times.t, case.x_t()[0]
    kernel = label_diffusion(case).reverse_kernel(x_t, s, t)
    shortest = case.diffusion.marginal(s).variances.min().sqrt().item()
    integral = expectation(kernel, lambda x: process(case, x, s), scale=shortest)
    return relative_error(integral.value - process(case, x_t, t), integral.magnitude)


def classifier_error(case: GuidedCase, law: Law = label_diffusion, strength: float = 1.0) -> float:
    """E_{q_t(x|c)}[score(x) + grad log P(c|x)] = 0, relative to the terms' mean size."""
    t, joint = case.times.t, case.diffusion.marginal(case.times.t)

    def terms(x: Tensor) -> Tensor:
        """The guided score and its two parts."""
        x = x.detach().requires_grad_()
        log_probability = torch.log_softmax(joint.log_components(x), -1)[:, case.label]
        (gradient,) = torch.autograd.grad(log_probability.sum(), x)
        x = x.detach()
        return torch.cat([joint.score(x) + strength * gradient, joint.score(x), gradient], 1)

    integral = expectation(law(case).marginal(t), terms, scale=shortest_length(case))
    return relative_error(integral.value[: joint.dimension], integral.magnitude.sum())


def _size(case: GuidedCase, k: int) -> Tensor:
    return float64([prediction_size(case.branch(k), case.times.t)])


def wrong_law_shift(case: GuidedCase) -> Tensor:
    """The mistake of both branches calibrated under q_t(x|c), as if the combination were one model."""
    label = label_diffusion(case)
    etas = (branch_mean_error(case, case.branch(k), label, label) for k in (case.label, -1))
    return combined(case, *etas)


def _conditional_only(case: GuidedCase) -> Tensor:
    label = label_diffusion(case)
    return branch_mean_error(case, case.branch(case.label), label, label)


def _weight_on_both(case: GuidedCase) -> Tensor:
    eta = branch_mean_error(case, case.branch(-1), case.diffusion, case.diffusion)
    return case.scale * (_conditional_only(case) + eta)


CASES = guided_cases()
PLANE = guided_cases(2, time_pairs(low=-2.0, high=4.0))
"""Where the waves in the predictions are no shorter than the grid of the plane can follow."""

CLAIMS = (
    exact_claim(
        "conditional", "4", "eta(c) = E[y_theta(x, c)|c] - A E[x_0|c]", CASES, conditional_error,
        law={"joint-law": joint_diffusion}, data={"joint-data-mean": joint_diffusion},
    ),
    exact_claim(
        "joint", "4", "one shift over (x, c) is valid, and weaker", CASES, joint_error,
        joint={
            "labels-unweighted": lambda w, eta: eta.mean(0),
            "joint-root-mean-square": lambda w, eta: (w @ eta**2).sqrt(),
        },
        by_label={"shift-of-the-next-label": lambda eta: eta.roll(1, 0)},
    ),
    exact_claim(
        "classifier-free", "4", "guided branches are calibrated each under its own law", CASES,
        classifier_free_error,
        shift={
            "combined-under-one-law": wrong_law_shift, "conditional-shift-only": _conditional_only,
            "weight-on-both": _weight_on_both, "constants-alone": _constants_combined,
        },
    ),
    exact_claim(
        "conditional-martingale", "14", "E[M_s(x_s|c)|x_t, c] = M_t(x_t|c); of the guided score not",
        CASES, conditional_martingale_error,
        process={"guided-score": guided_martingale, "joint-score": joint_martingale},
    ),
    exact_claim(
        "class-guided", "4", "score + grad log P(c|x) has mean zero under q_t(x|c)", CASES,
        classifier_error, law={"guided-under-joint-law": joint_diffusion},
        strength={"classifier-twice": 2.0, "classifier-forgotten": 0.0},
    ),
    exact_claim(
        "conditional-2d", "4", "eta(c) with full covariances", PLANE, conditional_error,
        law={"joint-law-2d": joint_diffusion}, share=0.3,
    ),
    exact_claim(
        "joint-2d", "4", "one shift over (x, c), with full covariances", PLANE, joint_error,
        joint={"labels-unweighted-2d": lambda w, eta: eta.mean(0)}, share=0.2,
    ),
    exact_claim(
        "classifier-free-2d", "4", "guided branches apart, with full covariances", PLANE,
        classifier_free_error,
        shift={
            "combined-under-one-law-2d": wrong_law_shift,
            "weight-on-both-2d": _weight_on_both,
        },
        share=0.2,
    ),
    exact_claim(
        "class-guided-2d", "4", "score + grad log P(c|x), with full covariances", PLANE,
        classifier_error, law={"guided-under-joint-law-2d": joint_diffusion},
        strength={"classifier-twice-2d": 2.0}, share=0.3,
    ),
)  # fmt: skip
