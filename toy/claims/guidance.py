"""Calibration of conditional and guided models: each branch under its own law, then combined.

With y(x, c) the prediction for label c and eta(c) = E_{q_t(x|c)}[y(x, c)] - A E[x_0|c]:

- a guided prediction y(x) + w (y(x, c) - y(x)) is calibrated branch by branch;
- with a classifier, score(x) + grad log P(c|x) has mean zero under q_t(x|c);
- one joint shift over (x, c) is valid, and lowers the loss by |E eta(c)|^2 <= E|eta(c)|^2.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from toy.judge.claim import ExactClaim, Mutant
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.planted_error import Misfit
from toy.numerics.quadrature import expectation
from toy.strategies import models as model_strategies
from toy.strategies.guided import GuidedCase, resolution, shift_of, size_of

Shift = Callable[[GuidedCase], Tensor]
Law = Callable[[GuidedCase], Diffusion]


def own(case: GuidedCase) -> Diffusion:
    """The diffusion of the case's label."""
    return case.of_label(case.label)


def everything(case: GuidedCase) -> Diffusion:
    """The diffusion of all labels together."""
    return case.diffusion


def conditional_error(case: GuidedCase, law: Law = own, data: Law = own) -> float:
    """eta(c) by quadrature under q_t(x|c), against its closed form."""
    model = case.branch(case.label)
    by_quadrature = shift_of(case, model, law(case), data(case))
    exact = model.eta(case.times.t)
    return _relative(by_quadrature - exact, _size(case, case.label))


def joint_error(
    case: GuidedCase, joint: Callable[[Tensor, Tensor], Tensor] = lambda w, eta: w @ eta
) -> float:
    """Fall of the loss over (x, c): |E eta|^2 under a joint shift, E|eta|^2 under one per label.

    Relative to the square of what the predictions and shifts add up. A joint shift that lowers it
    by more than one per label does is an error as well.
    """
    t, weights = case.times.t, case.weights
    models = [case.branch(k) for k in range(len(weights))]
    etas = torch.stack([model.eta(t)[0] for model in models])
    shift, losses = joint(weights, etas), torch.zeros(3, dtype=torch.float64)
    size = shift**2 + sum(size_of(model, t) ** 2 for model in models)
    for weight, eta, model in zip(weights, etas, models, strict=True):

        def terms(x: Tensor, model: Misfit = model, eta: Tensor = eta) -> Tensor:
            r = model.at(x, t) - model.exact(x, t)
            return torch.cat([r**2, (r - shift) ** 2, (r - eta) ** 2], 1)

        law, scale = model.diffusion.marginal(t), resolution(case) / 2
        losses += weight * expectation(law, terms, scale=scale, size=size.item()).value
    before, jointly, by_label = losses
    falls = torch.stack([before - jointly, before - by_label, jointly - by_label])
    mean, second = weights @ etas, weights @ etas**2
    return _relative(falls - torch.stack([mean**2, second, second - mean**2]), size)


def combined(case: GuidedCase, conditional: Tensor, unconditional: Tensor) -> Tensor:
    """Classifier-free guidance: y + w (y(c) - y)."""
    return unconditional + case.scale * (conditional - unconditional)


def branch_shift(case: GuidedCase) -> Tensor:
    """Each branch's shift under its own law and data, combined as the predictions are."""
    eta_c = shift_of(case, case.branch(case.label), own(case), own(case))
    eta = shift_of(case, case.branch(-1), case.diffusion, case.diffusion)
    return combined(case, eta_c, eta)


def guidance_error(case: GuidedCase, shift: Shift = branch_shift) -> float:
    """The calibrated guided prediction is the exact one, at x_t, for branches with constant error."""
    case = replace(case, amplitude=0.0)
    t, x_t, label = case.times.t, case.x_t(), case.label
    conditional, unconditional = case.branch(label), case.branch(-1)
    guided = combined(case, conditional.at(x_t, t), unconditional.at(x_t, t))
    exact = combined(case, conditional.exact(x_t, t), unconditional.exact(x_t, t))
    size = (1 + case.scale) * (_size(case, label) + _size(case, -1))
    return _relative(guided - shift(case) - exact, size + exact.abs())


def classifier_error(case: GuidedCase, law: Law = own, strength: float = 1.0) -> float:
    """E_{q_t(x|c)}[score(x) + grad log P(c|x)] = 0, relative to the terms' mean size."""
    t, joint = case.times.t, case.diffusion.marginal(case.times.t)

    def terms(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        log_probability = torch.log_softmax(joint.log_components(x), -1)[:, case.label]
        (gradient,) = torch.autograd.grad(log_probability.sum(), x)
        x = x.detach()
        return torch.cat([joint.score(x) + strength * gradient, joint.score(x), gradient], 1)

    integral = expectation(law(case).marginal(t), terms, scale=resolution(case))
    return _relative(integral.value[:1], integral.magnitude.sum())


def _size(case: GuidedCase, k: int) -> Tensor:
    """Size of what a branch's mean adds up: its rounding is relative to it."""
    return torch.tensor([size_of(case.branch(k), case.times.t)], dtype=torch.float64)


def _relative(difference: Tensor, scale: Tensor) -> float:
    return (difference.abs().max() / scale.max().clamp(min=1e-300)).item()


def _of_combination(case: GuidedCase) -> Tensor:
    """The combined prediction calibrated as one, under q_t(x|c): its exact mean is not A E[x_0|c]."""
    eta_c = shift_of(case, case.branch(case.label), own(case), own(case))
    return combined(case, eta_c, shift_of(case, case.branch(-1), own(case), own(case)))


def _conditional_only(case: GuidedCase) -> Tensor:
    return shift_of(case, case.branch(case.label), own(case), own(case))


def _weight_on_both(case: GuidedCase) -> Tensor:
    eta_c = shift_of(case, case.branch(case.label), own(case), own(case))
    return case.scale * (eta_c + shift_of(case, case.branch(-1), case.diffusion, case.diffusion))


CASES = model_strategies.guided_cases()

CLAIMS = (
    ExactClaim(
        "conditional", "4", "eta(c) = E[y_theta(x, c)|c] - A E[x_0|c]", CASES, conditional_error,
        (
            Mutant("joint-law", lambda c: conditional_error(c, law=everything)),
            Mutant("joint-data-mean", lambda c: conditional_error(c, data=everything)),
        ),
    ),
    ExactClaim(
        "joint", "4", "one shift over (x, c) is valid, and weaker", CASES, joint_error,
        (
            Mutant("labels-unweighted", lambda c: joint_error(c, lambda w, eta: eta.mean())),
            Mutant("joint-root-mean-square", lambda c: joint_error(
                c, lambda w, eta: (w @ eta**2).sqrt())),
        ),
    ),
    ExactClaim(
        "classifier-free", "4", "guided branches are calibrated each under its own law", CASES,
        guidance_error,
        (
            Mutant("combined-under-one-law", lambda c: guidance_error(c, _of_combination)),
            Mutant("conditional-shift-only", lambda c: guidance_error(c, _conditional_only)),
            Mutant("weight-on-both", lambda c: guidance_error(c, _weight_on_both)),
        ),
    ),
    ExactClaim(
        "class-guided", "4", "score + grad log P(c|x) has mean zero under q_t(x|c)", CASES,
        classifier_error,
        (
            Mutant("guided-under-joint-law", lambda c: classifier_error(c, law=everything)),
            Mutant("classifier-twice", lambda c: classifier_error(c, strength=2.0)),
            Mutant("classifier-forgotten", lambda c: classifier_error(c, strength=0.0)),
        ),
    ),
)  # fmt: skip
