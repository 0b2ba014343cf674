"""The best constant shift: it is optimal, commutes with conversions, and tilts the density."""

import sympy as sp

from theory.proofs.algebra import ANY, Statement, coordinates, density, t


def calibration_optimum() -> list[sp.Expr]:
    """L(c) = |r|^2 - 2 c.r + |c|^2 in expectation is least at c = E r, where it fell by |E r|^2."""
    c, mean, second = sp.symbols("c m s", real=True)
    loss = second - 2 * c * mean + c**2
    best = sp.solve(sp.diff(loss, c), c)[0]
    return [best - mean, second - loss.subs(c, best) - mean**2, sp.diff(loss, c, 2) - 2]


def calibration_commutes() -> list[sp.Expr]:
    """Calibrating then converting equals converting then calibrating, for any two targets.

    With eta = E[y] - A E[x_0] in either parametrization, the linear map between them takes one to
    the other: eta' = eta det'/det.
    """
    a, s, y_a, y_b, z_a, z_b = sp.symbols("alpha sigma A B A2 B2")
    x_t, y, mean_x_t, mean_y, mean_x_0 = sp.symbols("x_t y m_t m_y m_0")

    def convert(value: sp.Expr, at: sp.Expr) -> sp.Expr:
        """The prediction ``value`` at x_t = ``at`` of one target as that of the other."""
        x_0, e = sp.Matrix([[a, s], [y_a, y_b]]).LUsolve(sp.Matrix([at, value]))
        return z_a * x_0 + z_b * e

    eta = mean_y - y_a * mean_x_0
    eta_converted = convert(mean_y, mean_x_t) - z_a * mean_x_0
    difference = convert(y - eta, x_t) - (convert(y, x_t) - eta_converted)
    mean_of_marginal = {mean_x_t: a * mean_x_0}  # E[x_t] = alpha E[x_0], as E[e] = 0
    return [difference.subs(mean_of_marginal)]


def joint_shift_weaker() -> list[sp.Expr]:
    """Over labels of weights w: sum w eta^2 - (sum w eta)^2 = sum w (eta - sum w eta)^2, so >= 0."""
    weights, etas = sp.symbols("w1:4", positive=True), sp.symbols("eta1:4", real=True)
    last = 1 - weights[0] - weights[1]
    pairs = [(w.subs(weights[2], last), eta) for w, eta in zip(weights, etas, strict=True)]
    mean = sum(w * eta for w, eta in pairs)
    second = sum(w * eta**2 for w, eta in pairs)
    return [second - mean**2 - sum(w * (eta - mean) ** 2 for w, eta in pairs)]


def guided_branches() -> list[sp.Expr]:
    """Guidance of two branches with constant errors is exact if each branch is calibrated."""
    y, y_c, eta, eta_c, w = sp.symbols("y y_c eta eta_c w", real=True)

    def guide(unconditional: sp.Expr, conditional: sp.Expr) -> sp.Expr:
        """Classifier-free guidance of weight w."""
        return unconditional + w * (conditional - unconditional)

    shifted = guide(y + eta, y_c + eta_c) - guide(eta, eta_c)
    return [shifted - guide(y, y_c)]


def class_guided_mean() -> list[sp.Expr]:
    """q_c grad(log q + log(w q_c/q)) = grad q_c: the guided score integrates to zero under q_c."""
    x = coordinates(1)
    q, w = density(x), sp.Symbol("w", positive=True)
    q_c = sp.Function("q_c", positive=True)(*x, t)
    guided = sp.diff(sp.log(q) + sp.log(w * q_c / q), x[0])
    return [q_c * guided - sp.diff(q_c, x[0])]


def edm_preconditioning() -> list[sp.Expr]:
    """c_skip x + c_out F = x_0 for F = A x_0 + B e and x = x_0 + r e: EDM's F is a target."""
    x_0, e = sp.symbols("x_0 e", real=True)
    r, d = sp.symbols("r sigma_data", positive=True)
    c_skip, c_out = d**2 / (r**2 + d**2), r * d / sp.sqrt(r**2 + d**2)
    output = r / (d * sp.sqrt(r**2 + d**2)) * x_0 - d / sp.sqrt(r**2 + d**2) * e
    return [c_skip * (x_0 + r * e) + c_out * output - x_0]


def shift_conservative() -> list[sp.Expr]:
    """The curl of grad Phi - eta vanishes, and it is grad(Phi - eta.x)."""
    x = coordinates(3)
    phi, eta = sp.Function("Phi", real=True)(*x), sp.symbols("eta1:4", real=True)
    field = [sp.diff(phi, xi) - ei for xi, ei in zip(x, eta, strict=True)]
    tilted = phi - sum(ei * xi for xi, ei in zip(x, eta, strict=True))
    curls = [sp.diff(field[i], x[j]) - sp.diff(field[j], x[i]) for i, j in ((0, 1), (0, 2), (1, 2))]
    return curls + [s - sp.diff(tilted, xi) for s, xi in zip(field, x, strict=True)]


def gaussian_tilt() -> list[sp.Expr]:
    """N(x; m, v) exp(-eta x) = N(x; m - v eta, v) exp(-eta m + eta^2 v/2), in logarithms."""
    x, m, eta = sp.symbols("x m eta", real=True)
    v = sp.Symbol("v", positive=True)
    tilted = -((x - m) ** 2) / (2 * v) - eta * x
    return [tilted + (x - m + v * eta) ** 2 / (2 * v) + eta * m - eta**2 * v / 2]


def amortized_fall() -> list[sp.Expr]:
    """The best h = c phi lowers the bound by sum w h^2 = sum w eta^2 - sum w (eta - h)^2."""
    w, eta, phi = (sp.symbols(f"{name}1:4", positive=True) for name in ("w", "eta", "phi"))
    c = sp.Symbol("c", real=True)
    terms = list(zip(w, eta, phi, strict=True))
    fall = sum(wi * (2 * c * fi * ei - (c * fi) ** 2) for wi, ei, fi in terms)
    best = sp.solve(sp.diff(fall, c), c)[0]
    kept = sum(wi * (best * fi) ** 2 for wi, _, fi in terms)
    missed = sum(wi * (ei - best * fi) ** 2 for wi, ei, fi in terms)
    whole = sum(wi * ei**2 for wi, ei, _ in terms)
    return [fall.subs(c, best) - kept, whole - kept - missed]


STATEMENTS = (
    Statement(
        "calibration-optimum",
        "4",
        "the best constant is the mean",
        calibration_optimum,
        ANY,
        identity=True,
    ),
    Statement(
        "calibration-commutes",
        "4",
        "calibration commutes with conversion",
        calibration_commutes,
        ANY,
    ),
    Statement(
        "joint-weaker",
        "4",
        "a joint shift over (x, c) falls short by Var eta(c), 3 labels",
        joint_shift_weaker,
        ANY,
    ),
    Statement(
        "guided-branches",
        "4",
        "guided branches are calibrated apart",
        guided_branches,
        ANY,
        identity=True,
    ),
    Statement(
        "class-guided-mean",
        "4",
        "score + grad log P(c|x) has mean 0 under q(x|c)",
        class_guided_mean,
        ANY,
        identity=True,
    ),
    Statement(
        "edm-target",
        "4",
        "EDM's raw output is one more target",
        edm_preconditioning,
        ANY,
        identity=True,
    ),
    Statement(
        "shift-conservative",
        "4",
        "grad Phi - eta = grad(Phi - eta.x)",
        shift_conservative,
        "d = 3",
        identity=True,
    ),
    Statement(
        "gaussian-tilt",
        "4",
        "a shift tilts a Gaussian into another",
        gaussian_tilt,
        "d = 1",
        identity=True,
    ),
    Statement(
        "amortized-fall",
        "4",
        "least squares loses sum w |eta - h|^2 of the fall, 3 times",
        amortized_fall,
        ANY,
    ),
)
