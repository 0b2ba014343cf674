"""Computer-algebra proofs. Each statement returns a residual that must simplify to zero.

The density q(x, t), the schedule functions and the model are arbitrary sympy functions; what is
used of them is the Fokker-Planck equation dq/dt = -div(f x q) + (g^2/2) Laplacian q, and
alpha' = f alpha. A function h(x, t) is a martingale of the exact reverse SDE
dx = (f x - g^2 grad log q) dt + g dw-bar when its reverse generator vanishes:

    (d/dt + (f x - g^2 grad log q).grad - (g^2/2) Laplacian) h = 0.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import sympy as sp

t = sp.Symbol("t", real=True)
f, g, alpha = (sp.Function(name, real=True)(t) for name in ("f", "g", "alpha"))


@dataclass(frozen=True)
class Statement:
    """A statement to prove: its id, the section of the theory, what it says, and its residuals."""

    id: str
    section: str
    says: str
    residuals: Callable[[], list[sp.Expr]]


@dataclass(frozen=True)
class Proof:
    """The outcome: ``residual`` is "0" when it is proved."""

    id: str
    section: str
    says: str
    residual: str
    proved: bool
    seconds: float


def coordinates(dimension: int) -> tuple[sp.Symbol, ...]:
    """Space coordinates x1 ... xd."""
    return sp.symbols(f"x1:{dimension + 1}", real=True)


def density(x: tuple[sp.Symbol, ...]) -> sp.Expr:
    """An arbitrary positive density q(x, t)."""
    return sp.Function("q", positive=True)(*x, t)


def fokker_planck(q: sp.Expr, x: tuple[sp.Symbol, ...]) -> sp.Expr:
    """dq/dt = -sum_i d(f x_i q)/dx_i + (g^2/2) sum_i d^2 q/dx_i^2."""
    return sum(-sp.diff(f * xi * q, xi) + g**2 / 2 * sp.diff(q, xi, 2) for xi in x)


def impose_dynamics(expression: sp.Expr, q: sp.Expr, x: tuple[sp.Symbol, ...]) -> sp.Expr:
    """Replace every time derivative of q by Fokker-Planck's right-hand side, and alpha' by f alpha."""
    right = fokker_planck(q, x)

    def mixed(derivative: sp.Derivative) -> sp.Expr:
        space = [(v, n) for v, n in derivative.variable_count if v != t]
        return sp.diff(right, *space) if space else right

    expression = expression.doit().replace(
        lambda e: isinstance(e, sp.Derivative) and e.expr == q and (t, 1) in e.variable_count, mixed
    )
    return expression.subs(sp.diff(alpha, t), f * alpha).doit()


def reverse_generator(h: sp.Expr, q: sp.Expr, x: tuple[sp.Symbol, ...]) -> sp.Expr:
    """(d/dt + (f x - g^2 grad log q).grad - (g^2/2) Laplacian) h, dynamics imposed."""
    result = sp.diff(h, t)
    for xi in x:
        result += (f * xi - g**2 * sp.diff(q, xi) / q) * sp.diff(h, xi)
        result -= g**2 / 2 * sp.diff(h, xi, 2)
    return impose_dynamics(result, q, x)


def tower(order: tuple[int, ...]) -> sp.Expr:
    """Residual of alpha^|k| (d^k q)/q being a martingale, k a multi-index; |k| = 1 is the score."""
    x = coordinates(len(order))
    q = density(x)
    derivative = sp.diff(q, *[(xi, n) for xi, n in zip(x, order, strict=True) if n])
    return reverse_generator(alpha ** sum(order) * derivative / q, q, x)


def score_martingale(dimension: int) -> list[sp.Expr]:
    """Residuals of M = alpha grad log q, one per coordinate."""
    x = coordinates(dimension)
    q = density(x)
    return [reverse_generator(alpha * sp.diff(sp.log(q), xi), q, x) for xi in x]


def transition_kernel_parts() -> list[sp.Expr]:
    """The step of the kernel proof: dN(x_t; A x_s, V)/dx_t = -(1/A) dN/dx_s.

    Integrating by parts, grad q_t = (1/A) int grad q_s N, hence M_t = E[M_s | x_t].
    """
    x_t, x_s = sp.symbols("x_t x_s", real=True)
    a, v = sp.symbols("A V", positive=True)
    normal = sp.exp(-((x_t - a * x_s) ** 2) / (2 * v)) / sp.sqrt(2 * sp.pi * v)
    return [sp.diff(normal, x_t) + sp.diff(normal, x_s) / a]


def zero_mean() -> list[sp.Expr]:
    """E[grad log q] = int grad q: the integrand is an exact derivative, with no boundary term."""
    x = coordinates(1)
    q = density(x)
    return [q * sp.diff(sp.log(q), x[0]) - sp.diff(q, x[0])]


def tweedie() -> list[sp.Expr]:
    """E[x_0|x_t] = (x_t + sigma^2 grad log q_t)/alpha is a martingale, for any sigma with g^2."""
    x = coordinates(1)
    q = density(x)
    sigma = sp.Function("sigma", positive=True)(t)
    mean = (x[0] + sigma**2 * sp.diff(sp.log(q), x[0])) / alpha
    residual = reverse_generator(mean, q, x)
    d_sigma = (g**2 + 2 * f * sigma**2) / (2 * sigma)
    return [residual.subs(sp.diff(sigma, t), d_sigma)]


def diffusion_from_log_snr() -> list[sp.Expr]:
    """d(sigma^2)/dt - 2 f sigma^2 = -sigma^2 d lambda/dt, with f = d log alpha/dt."""
    a, s = (sp.Function(name, positive=True)(t) for name in ("a", "s"))
    f_t = sp.diff(sp.log(a), t)
    return [sp.diff(s**2, t) - 2 * f_t * s**2 + s**2 * sp.diff(sp.log(a**2 / s**2), t)]


def transition_composes() -> list[sp.Expr]:
    """Transitions r -> s -> t compose: A_rt = A_rs A_st, V_rt = V_st + A_st^2 V_rs."""
    a_r, a_s, a_t, s_r, s_s, s_t = sp.symbols("a_r a_s a_t s_r s_s s_t", positive=True)

    def between(a: sp.Expr, b: sp.Expr, sa: sp.Expr, sb: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
        return b / a, sb**2 - (b / a) ** 2 * sa**2

    a_rs, v_rs = between(a_r, a_s, s_r, s_s)
    a_st, v_st = between(a_s, a_t, s_s, s_t)
    a_rt, v_rt = between(a_r, a_t, s_r, s_t)
    return [a_rs * a_st - a_rt, v_st + a_st**2 * v_rs - v_rt]


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
        x_0, e = sp.Matrix([[a, s], [y_a, y_b]]).LUsolve(sp.Matrix([at, value]))
        return z_a * x_0 + z_b * e

    eta = mean_y - y_a * mean_x_0
    eta_converted = convert(mean_y, mean_x_t) - z_a * mean_x_0
    difference = convert(y - eta, x_t) - (convert(y, x_t) - eta_converted)
    mean_of_marginal = {mean_x_t: a * mean_x_0}  # E[x_t] = alpha E[x_0], as E[e] = 0
    return [difference.subs(mean_of_marginal)]


def bound_step() -> list[sp.Expr]:
    """KL of two reverse steps from t to s that differ in the noise by delta is 0.5 (SNR_s/SNR_t - 1) delta^2.

    Both have variance V sigma_s^2/sigma_t^2; their means differ by (V / (A sigma_t)) delta.
    """
    a_s, a_t, s_s, s_t, delta = sp.symbols("a_s a_t s_s s_t delta", positive=True)
    a, v = a_t / a_s, s_t**2 - (a_t / a_s) ** 2 * s_s**2
    kl = (v / (a * s_t) * delta) ** 2 / (2 * v * s_s**2 / s_t**2)
    snr_ratio = (a_s / s_s) ** 2 / (a_t / s_t) ** 2
    return [kl - (snr_ratio - 1) / 2 * delta**2]


STATEMENTS: tuple[Statement, ...] = (
    Statement("martingale-1d", "1", "alpha d(log q)/dx is a reverse martingale", lambda: score_martingale(1)),
    Statement("martingale-2d", "1", "alpha grad log q, both coordinates", lambda: score_martingale(2)),
    Statement("martingale-3d", "1", "alpha grad log q, all three coordinates", lambda: score_martingale(3)),
    Statement("kernel-by-parts", "1", "dN/dx_t = -(1/A) dN/dx_s", transition_kernel_parts),
    Statement("zero-mean", "1", "q grad log q = grad q integrates to zero", zero_mean),
    Statement("diffusion", "0", "g^2 = -sigma^2 d lambda/dt", diffusion_from_log_snr),
    Statement("transition", "0", "forward transitions compose", transition_composes),
    Statement("tweedie", "9", "E[x_0|x_t] is a reverse martingale", tweedie),
    Statement("tower-2", "9", "alpha^2 q''/q is a reverse martingale", lambda: [tower((2,))]),
    Statement("tower-mixed", "9", "alpha^2 q_xy/q is a reverse martingale", lambda: [tower((1, 1))]),
    Statement("calibration-optimum", "4", "the best constant is the mean", calibration_optimum),
    Statement("calibration-commutes", "4", "calibration commutes with conversion", calibration_commutes),
    Statement("bound-step", "5", "a step of the bound weighs 0.5 (SNR_s/SNR_t - 1)", bound_step),
)  # fmt: skip


def prove(statement: Statement) -> Proof:
    """Simplify the statement's residuals; it is proved when every one is zero."""
    start = time.perf_counter()
    left = [r for r in (sp.simplify(sp.expand(r)) for r in statement.residuals()) if r != 0]
    return Proof(
        statement.id, statement.section, statement.says,
        "; ".join(map(str, left)) or "0", not left, time.perf_counter() - start,
    )  # fmt: skip


def prove_all() -> Iterator[Proof]:
    """Every statement, in order."""
    return map(prove, STATEMENTS)
