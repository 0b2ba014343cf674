"""Order 1: how far regression lowers the loss, and the best reverse variance for a score.

Expectations are those of any law with moments (``theory.proofs.moment_expansion``).
"""

import sympy as sp

from theory.proofs.algebra import ANY, Statement, coordinates, density, inner_product
from theory.proofs.moment_expansion import moment_expansion

r = sp.Symbol("r", real=True)


def stein_by_parts() -> list[sp.Expr]:
    """E[e phi(x_t)] = sigma E[phi'(x_t)]: the difference of the integrands is an exact derivative.

    First given x_0, where x_t = alpha x_0 + sigma e and the density of e has the derivative -e times
    itself; then under q_t, where E[e|x_t] = -sigma grad log q_t.
    """
    a, s = sp.symbols("alpha sigma", positive=True)
    x_0, e = sp.symbols("x_0 e", real=True)
    normal = sp.exp(-(e**2) / 2) / sp.sqrt(2 * sp.pi)
    phi = sp.Function("phi")(a * x_0 + s * e)
    given_image = normal * (e * phi - s * sp.diff(phi, x_0) / a) + sp.diff(normal * phi, e)
    (x,) = coordinates(1)
    q, feature = density((x,)), sp.Function("phi")(x)
    noise = -s * sp.diff(sp.log(q), x)
    marginal = q * (noise * feature - s * sp.diff(feature, x)) + s * sp.diff(q * feature, x)
    return [given_image, marginal]


def explained_energy(count: int) -> list[sp.Expr]:
    """E r^2 - E(r - theta.f)^2 = c.b - (theta - b).C (theta - b), C b = c, C = E f f^T, c = E f r.

    So the loss is least at theta = b = C^{-1} c, where it has fallen by c.C^{-1} c.
    """
    f, theta, best = (sp.symbols(f"{x}1:{count + 1}", real=True) for x in ("f", "theta", "b"))
    variables = (r, *f)
    matrix = sp.Matrix(count, count, lambda i, j: moment_expansion(f[i] * f[j], variables, {}))
    cross = matrix * sp.Matrix(best)
    known = {r * fi: moment for fi, moment in zip(f, cross, strict=True)}
    left = r - inner_product(theta, f)
    fall = moment_expansion(r**2 - left**2, variables, known)
    off = sp.Matrix(theta) - sp.Matrix(best)
    return [fall - (cross.T * sp.Matrix(best))[0] + (off.T * matrix * off)[0]]


def two_features() -> list[sp.Expr]:
    """The closed form of C^{-1} c in ``theory.statistics.least_squares``: C times it is c."""
    u, v = sp.symbols("u v", positive=True)
    rho, c_x, c_y = sp.symbols("rho c_x c_y", real=True)
    matrix = sp.Matrix([[u**2, rho * u * v], [rho * u * v, v**2]])
    x, y = c_x / u, c_y / v
    slopes = sp.Matrix([(x - rho * y) / u, (y - rho * x) / v]) / ((1 - rho) * (1 + rho))
    return list(matrix * slopes - sp.Matrix([c_x, c_y]))


def gains_add() -> list[sp.Expr]:
    """With centred features, a constant and slopes lower the loss by the sum of what each does alone."""
    f = sp.symbols("f1:3", real=True)
    shift, *theta = sp.symbols("s theta1:3", real=True)
    variables, about_mean = (r, *f), dict.fromkeys(f, sp.Integer(0))
    linear = inner_product(theta, f)

    def fall(subtracted: sp.Expr) -> sp.Expr:
        """E r^2 - E(r - subtracted)^2."""
        return moment_expansion(r**2 - (r - subtracted) ** 2, variables, about_mean)

    return [fall(shift + linear) - fall(shift) - fall(linear)]


def known_target_suffices() -> list[sp.Expr]:
    """E[f (y_theta - y)|x_t] = f (y_theta - E[y|x_t]), and the losses differ by Var(y|x_t).

    f and y_theta are any functions of x_t. So the residual has the same cross moments as the
    network's own error, and slopes do not change the difference of the losses.
    """
    y, f, model, mean = sp.symbols("y f m E[y]", real=True)
    square = sp.Symbol("E[y**2]", real=True)
    cross = moment_expansion(f * (model - y), (y,), {}) - f * (model - mean)
    excess = moment_expansion((model - y) ** 2, (y,), {}) - (model - mean) ** 2
    return [cross, excess - (square - mean**2)]


def scaling_as_slopes() -> list[sp.Expr]:
    """y/lambda is y - shift - a (x - E x) - b (y - E y) with a = 0, b = 1 - 1/lambda, shift = b E y.

    The best such scale lowers the loss by (E y r)^2/E y^2. A free shift and slope lower it by more:
    (E r Var y - E y Cov(y, r))^2 / (Var y E y^2) more.
    """
    y, x, mean_x, mean, mean_r, cross = sp.symbols("y x m_x m m_r k", real=True)
    v, scale = sp.symbols("v lambda", positive=True)
    b = 1 - 1 / scale
    scaled = y - b * mean - 0 * (x - mean_x) - b * (y - mean)
    free = mean_r**2 + cross**2 / v
    by_scale = (cross + mean * mean_r) ** 2 / (v + mean**2)
    more = (mean_r * v - mean * cross) ** 2 / (v * (v + mean**2))
    return [scaled - y / scale, free - by_scale - more]


a_s, a_t, s_s, s_t = sp.symbols("alpha_s alpha_t sigma_s sigma_t", positive=True)
step = a_t / a_s
step_variance = s_t**2 - step**2 * s_s**2
fall_of_snr = 1 - (a_t / s_t) ** 2 / (a_s / s_s) ** 2
energy = sp.Symbol("E", positive=True)


def best_variance(noise_energy: sp.Expr) -> sp.Expr:
    """The best reverse variance, in the form of ``theory.diffusion.reverse_variance``."""
    unknown = (s_t / a_t) ** 2 * (1 - noise_energy)
    return s_s**2 * fall_of_snr + (a_s * fall_of_snr) ** 2 * unknown


def variance_by_parts() -> list[sp.Expr]:
    """Var(x_s|x_t) = V + kappa^2 Var(x_0|x_t), as x_s given x_t and x_0 is N(kappa x_0 + lambda x_t, V).

    V and kappa come from the product of the densities of x_s and x_t. Given x_t, x_0 deviates from
    its mean by -sigma/alpha times the deviation of e, and E Var(e|x_t) = 1 - E(E[e|x_t])^2.
    """
    x_s, x_t, x_0 = sp.symbols("x_s x_t x_0", real=True)
    given, weight = s_s**2 * fall_of_snr, a_s * fall_of_snr
    exponent = (x_s - a_s * x_0) ** 2 / s_s**2 + (x_t - step * x_s) ** 2 / step_variance
    centre = sp.solve(sp.diff(exponent, x_s), x_s)[0]
    parts = [sp.diff(exponent, x_s, 2) / 2 - 1 / given, sp.diff(centre, x_0) - weight]
    e, own = sp.symbols("e z", real=True)
    noise_mean, noise_square = sp.symbols("E[e] E[e**2]", real=True)
    known = {own: sp.Integer(0), own**2: given, e * own: sp.Integer(0)}
    drawn = centre.subs(x_0, (x_t - s_t * e) / a_t) + own
    moments = [moment_expansion(drawn**n, (e, own), known) for n in (1, 2)]
    variance = moments[1] - moments[0] ** 2
    total = best_variance(energy)
    return [*parts, variance.subs(noise_square, 1 - energy + noise_mean**2) - total]


def variance_optimal() -> list[sp.Expr]:
    """The KL up to a constant, log v/2 + E(x - m)^2/(2 v), is least at v = E(x - m)^2."""
    v, spread = sp.symbols("v S", positive=True)
    divergence = sp.log(v) / 2 + spread / (2 * v)
    least = sp.solve(sp.diff(divergence, v), v)
    curvature = sp.diff(divergence, v, 2).subs(v, spread)
    return [least[0] - spread, curvature - 1 / (2 * spread**2)]


def variance_of_bao() -> list[sp.Expr]:
    """The best variance equals the published one (Bao et al., "Analytic-DPM", 2022) for DDPM's lambda:

        lambda^2 + (sqrt(bbar_t/alpha) - sqrt(bbar_s - lambda^2))^2 (1 - bbar_t E|s|^2/d),

    alpha = (alpha_t/alpha_s)^2, bbar = sigma^2, and bbar_t E|s|^2/d = E|e_theta|^2/d. DDPM's lambda^2 is
    bbar_s beta/bbar_t with beta = 1 - alpha, so bbar_s - lambda^2 is a square.
    """
    given = s_s**2 * step_variance / s_t**2
    root = step * s_s**2 / s_t
    published = given + (s_t / step - root) ** 2 * (1 - energy)
    return [root**2 - (s_s**2 - given), published - best_variance(energy)]


def variance_between() -> list[sp.Expr]:
    """Data at one point has DDPM's smaller variance; N(0, v) has V c_s/c_t, the larger one for v = 1."""
    v = sp.Symbol("v", positive=True)
    c_s, c_t = a_s**2 * v + s_s**2, a_t**2 * v + s_t**2
    smaller, of_gaussian = best_variance(sp.Integer(1)), best_variance(s_t**2 / c_t)
    preserving = {s_s: sp.sqrt(1 - a_s**2), s_t: sp.sqrt(1 - a_t**2)}
    larger = (of_gaussian - step_variance).subs(v, 1).subs(preserving)
    return [
        smaller - step_variance * s_s**2 / s_t**2,
        of_gaussian - step_variance * c_s / c_t,
        larger,
        best_variance(sp.Integer(0)) - step_variance / step**2,
    ]


STATEMENTS = (
    Statement("stein", "8", "E[e phi(x_t)] = sigma E[phi'(x_t)]", stein_by_parts, "d = 1"),
    Statement(
        "explained-energy",
        "8",
        "least squares takes off c.C^-1 c, 3 features",
        lambda: explained_energy(3),
    ),
    Statement("two-features", "8", "C^-1 c of two features by their correlation", two_features),
    Statement("gains-add", "8", "gains of constant and slopes about the mean add", gains_add),
    Statement(
        "known-target",
        "8",
        "regressing on y is regressing on E[y|x_t]",
        known_target_suffices,
        identity=True,
    ),
    Statement("epsilon-scaling", "8", "epsilon scaling is the case a = 0", scaling_as_slopes),
    Statement(
        "variance-by-parts",
        "8",
        "reverse variance: V + kappa^2 Var(x_0|x_t)",
        variance_by_parts,
        ANY,
    ),
    Statement(
        "variance-optimal",
        "8",
        "the KL is least at the mean square",
        variance_optimal,
        ANY,
        identity=True,
    ),
    Statement(
        "variance-of-bao", "8", "it is Bao's formula for DDPM's lambda", variance_of_bao, ANY
    ),
    Statement(
        "variance-between",
        "8",
        "point and Gaussian have DDPM's two variances",
        variance_between,
        ANY,
    ),
)
