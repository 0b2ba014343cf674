"""What is true is proved, what is broken is not, and the program says which."""

import json
import sys

import pytest
import sympy as sp

import theory.__main__ as program
from theory.proofs import STATEMENTS
from theory.proofs.algebra import (
    Statement,
    alpha,
    coordinates,
    density,
    f,
    g,
    impose_dynamics,
    prove,
    reverse_generator,
    t,
)
from theory.support.command_line import run

X = coordinates(1)
(x,) = X
Q = density(X)
SCORE = sp.diff(sp.log(Q), x)


def generator(h, score_term, laplacian_term):
    """Reverse generator of h with chosen coefficients of grad log q and of the Laplacian."""
    moved = (f * x + score_term * SCORE) * sp.diff(h, x) + laplacian_term * sp.diff(h, x, 2)
    return impose_dynamics(sp.diff(h, t) + moved, Q, X)


def tweedie(power):
    sigma = sp.Function("sigma", positive=True)(t)
    residual = reverse_generator((x + sigma**power * SCORE) / alpha, Q, X)
    return residual.subs(sp.diff(sigma, t), (g**2 + 2 * f * sigma**2) / (2 * sigma))


def bound_step(weight):
    a_s, a_t, s_s, s_t = sp.symbols("a_s a_t s_s s_t", positive=True)
    a, v = a_t / a_s, s_t**2 - (a_t * s_s / a_s) ** 2
    kl = (v / (a * s_t)) ** 2 / (2 * v * s_s**2 / s_t**2)
    return kl - weight((a_s / s_s) ** 2 / (a_t / s_t) ** 2)


def composed_variance(power):
    a_r, a_s, a_t, s_r, s_s, s_t = sp.symbols("a_r a_s a_t s_r s_s s_t", positive=True)
    v_rs, v_st = (
        s_s**2 - (a_s / a_r) ** power * s_r**2,
        s_t**2 - (a_t / a_s) ** power * s_s**2,
    )
    return v_st + (a_t / a_s) ** 2 * v_rs - (s_t**2 - (a_t / a_r) ** power * s_r**2)


def conversion_to_data(factor):
    """Noise predictions shifted by eta, expressed as data predictions shifted by factor eta."""
    a, s, x_t, e, eta = sp.symbols("a s x_t e eta", positive=True)
    return (x_t - s * (e - eta)) / a - ((x_t - s * e) / a - factor(a, s) * eta)


def diffusion_squared(sign):
    a, s = (sp.Function(name, positive=True)(t) for name in "as")
    g_sq = sp.diff(s**2, t) - 2 * sp.diff(sp.log(a), t) * s**2
    return g_sq - sign * s**2 * sp.diff(sp.log(a**2 / s**2), t)


def kernel_by_parts(factor):
    x_t, x_s = sp.symbols("x_t x_s", real=True)
    a, v = sp.symbols("A V", positive=True)
    normal = sp.exp(-((x_t - a * x_s) ** 2) / (2 * v))
    return sp.diff(normal, x_t) + factor(a) * sp.diff(normal, x_s)


def best_constant(constant):
    c, mean, second = sp.symbols("c m s", real=True)
    return sp.diff(second - 2 * c * mean + c**2, c).subs(c, constant(mean))


def ratio_martingale(power):
    return reverse_generator(alpha**power * sp.diff(Q, x, 2) / Q, Q, X)


TRUE = {
    "score": lambda: generator(alpha * SCORE, -(g**2), -(g**2) / 2),
    "tweedie": lambda: tweedie(2),
    "bound step": lambda: bound_step(lambda ratio: (ratio - 1) / 2),
    "transition variance": lambda: composed_variance(2),
    "converted shift": lambda: conversion_to_data(lambda a, s: -s / a),
    "diffusion": lambda: diffusion_squared(-1),
    "kernel by parts": lambda: kernel_by_parts(lambda a: 1 / a),
    "best constant": lambda: best_constant(lambda mean: mean),
    "second order": lambda: ratio_martingale(2),
}
BROKEN = {
    "score without alpha": lambda: generator(SCORE, -(g**2), -(g**2) / 2),
    "score with alpha squared": lambda: generator(alpha**2 * SCORE, -(g**2), -(g**2) / 2),
    "wrong sign of the score term": lambda: generator(alpha * SCORE, g**2, -(g**2) / 2),
    "half of the score term": lambda: generator(alpha * SCORE, -(g**2) / 2, -(g**2) / 2),
    "wrong sign of the Laplacian": lambda: generator(alpha * SCORE, -(g**2), g**2 / 2),
    "forward direction": lambda: generator(alpha * SCORE, 0, g**2 / 2),
    "ODE direction": lambda: generator(alpha * SCORE, -(g**2) / 2, 0),
    "tweedie with sigma": lambda: tweedie(1),
    "bound step without minus one": lambda: bound_step(lambda ratio: ratio / 2),
    "bound step without half": lambda: bound_step(lambda ratio: ratio - 1),
    "transition variance with A": lambda: composed_variance(1),
    "shift unscaled": lambda: conversion_to_data(lambda a, s: 1),
    "shift with the wrong sign": lambda: conversion_to_data(lambda a, s: s / a),
    "diffusion with the wrong sign": lambda: diffusion_squared(1),
    "kernel without A": lambda: kernel_by_parts(lambda a: 1),
    "half of the mean": lambda: best_constant(lambda mean: mean / 2),
    "second order with alpha": lambda: ratio_martingale(1),
}


def statement(name, residual):
    return Statement(name, "0", name, lambda: [residual()])


@pytest.mark.parametrize("known", STATEMENTS, ids=lambda s: s.id)
def test_every_statement_is_proved(known):
    proof = prove(known)
    assert (proof.id, proof.proved, proof.residual) == (known.id, True, "0")


def test_statement_ids_are_unique():
    ids = [s.id for s in STATEMENTS]
    assert sorted(set(ids)) == sorted(ids)


@pytest.mark.parametrize("name", TRUE)
def test_what_is_true_is_proved(name):
    assert prove(statement(name, TRUE[name])).proved


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_not_proved(name):
    proof = prove(statement(name, BROKEN[name]))
    assert not proof.proved
    assert proof.residual != "0"


def test_one_false_residual_among_true_ones_is_enough():
    mixed = Statement("mixed", "0", "", lambda: [TRUE["score"](), BROKEN["shift unscaled"]()])
    assert not prove(mixed).proved


def run_with(monkeypatch, statements, *arguments):
    monkeypatch.setattr(program, "STATEMENTS", statements)
    return program.main([*map(str, arguments), "--quiet"])


def test_program_writes_every_proof(monkeypatch, tmp_path, capsys):
    out = tmp_path / "proofs.json"
    assert run_with(monkeypatch, STATEMENTS, "--json", out) == 0
    written = json.loads(out.read_text())["statements"]
    assert [s["id"] for s in written] == [s.id for s in STATEMENTS]
    for proof in written:
        assert {"id", "section", "residual", "proved", "seconds"} <= set(proof)
        assert proof["proved"] is True
        assert proof["seconds"] >= 0
    assert f"{len(STATEMENTS)} of {len(STATEMENTS)} statements proved" in capsys.readouterr().out


def test_program_fails_with_a_broken_statement(monkeypatch, tmp_path, capsys):
    out = tmp_path / "proofs.json"
    two = (statement("true", TRUE["tweedie"]), statement("broken", BROKEN["shift unscaled"]))
    assert run_with(monkeypatch, two, "--json", out) == 1
    assert [s["proved"] for s in json.loads(out.read_text())["statements"]] == [True, False]
    assert "1 of 2 statements proved" in capsys.readouterr().out


def leave_with(monkeypatch, statements, out):
    monkeypatch.setattr(program, "STATEMENTS", statements)
    monkeypatch.setattr(sys, "argv", ["theory", "--quiet", "--json", str(out)])
    with pytest.raises(SystemExit) as left:
        run("python -m theory", program.main)
    return left.value.code


def test_bad_output_is_refused_before_any_proof(monkeypatch, tmp_path, capsys):
    def never():
        raise AssertionError("a proof was started")

    below_a_file = tmp_path / "file" / "proofs.json"
    below_a_file.parent.touch()
    assert leave_with(monkeypatch, (statement("never", never),), below_a_file) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("python -m theory: output: cannot write ")
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [below_a_file.parent]


def test_good_output_leaves_with_status_zero(monkeypatch, tmp_path, capsys):
    out = tmp_path / "new folder" / "proofs.json"
    assert leave_with(monkeypatch, (statement("true", TRUE["tweedie"]),), out) == 0
    assert capsys.readouterr().err == ""
    assert out.exists()
