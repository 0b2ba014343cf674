"""``ALL`` is every claim, in the order of the theory."""

from toy.claims import (
    azuma_hoeffding,
    betting,
    calibration,
    convergence_orders,
    coverage,
    data_laws,
    denoising,
    derivative_tower,
    energy,
    estimation,
    euler_maruyama,
    extreme_identities,
    extremes,
    first_order,
    fitted_solvers,
    gaussian_tails,
    guidance,
    likelihood,
    likelihood_gain,
    likelihood_whole,
    martingale,
    maximal_inequalities,
    mixture_chains,
    optional_stopping,
    path_sampling,
    quadratic_variation,
    reverse_variance,
    schedules,
    slope_certificates,
    tilting,
)
from toy.judge.claim import Claim

FAMILIES = (
    schedules, martingale, data_laws, path_sampling, gaussian_tails, quadratic_variation,
    azuma_hoeffding, maximal_inequalities, optional_stopping, calibration, estimation, coverage,
    denoising, guidance, tilting, likelihood, likelihood_whole, likelihood_gain, euler_maruyama,
    mixture_chains, convergence_orders, derivative_tower, energy, first_order, slope_certificates,
    betting, fitted_solvers, reverse_variance, extremes, extreme_identities,
)  # fmt: skip

ALL: tuple[Claim, ...] = tuple(claim for family in FAMILIES for claim in family.CLAIMS)
