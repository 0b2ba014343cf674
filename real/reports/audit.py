"""Re-read published statistics of a plain average: what of the claimed gain is noise."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from real.images.npz import require_no_bomb
from real.reports.elements import Panel, Section
from real.reports.origin import Origin
from real.reports.page import Report
from theory.calibration.audit import Audit
from theory.calibration.verdict import DO_NOT, USE, Verdict
from theory.support.errors import InputError, refusing
from theory.support.plot_style import BLUE, GREY, ORANGE


def read_statistics(path: Path) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(t, |mean|^2, weighted, E|y|^2), each (T,), from the array ``stats`` of an .npz file.

    Raises:
        InputError: a file of another layout.
    """
    expected = (
        f"statistics: expected an .npz file with an array 'stats' (times, 4) of floats, {path}"
    )
    with refusing(f"{expected} cannot be read as one"):
        require_no_bomb(path)
        with np.load(path, allow_pickle=False) as archive:
            stats = archive.get("stats", None)
    if stats is None:
        raise InputError(f"{expected} has none")
    if stats.ndim != 2 or stats.shape[1] != 4 or not len(stats) or stats.dtype.kind != "f":
        raise InputError(f"{expected} has one of {stats.dtype}, of shape {stats.shape}")
    if not (np.isfinite(stats).all() and (stats[:, 1:] > 0).all()):
        raise InputError(f"{expected} holds values that are not positive and finite")
    t, mean_sq, weighted, energy = torch.from_numpy(stats.astype(np.float64)).T.contiguous()
    return t, mean_sq, weighted, energy


def audit_summary(audit: Audit) -> list[str]:
    """The audit in words; a range goes from images as a sample to images as the population."""
    share = [1 - s / audit.claimed for s in (audit.surviving.sample, audit.surviving.population)]
    return [
        f"claimed gain of the likelihood bound: {audit.claimed:.3f} nats",
        f"of it noise: {_share(share[0])} (images a sample) to {_share(share[1])} (images the population)",
        f"surviving: {audit.surviving.sample:.3f} to {audit.surviving.population:.3f} nats",
        f"net effect of applying that shift: {audit.net.sample:+.2f} to "
        f"{audit.net.population:+.2f} nats",
    ]


def _share(noise: float) -> str:
    """A share of the claim, or that noise alone explains more than all of it."""
    if round(noise, 2) <= 1:
        return f"{noise:.0%}"
    return f"all of it could be, as noise alone would claim {noise:.3g} times as much"


def audit_report(
    t: Tensor, mean_sq: Tensor, audit: Audit, origin: Origin, **settings: Any
) -> Report:
    """The audit with its figure.

    Args:
        t, mean_sq: (T,), times and published |mean|^2.
        audit: of them.
        origin: the command that made it.
        settings: of the command, to be told.
    """
    net = audit.net
    panel = Panel(
        partial(draw_noise_floor, t=t, mean_sq=mean_sq, audit=audit),
        "Published squared norm of the mean over time, above its noise floor",
    )
    return Report(
        "audit",
        "How much of a published plain average is noise",
        audit_verdict(audit),
        audit_summary(audit),
        {"claimed": audit.claimed, "surviving": vars(audit.surviving), "net": vars(net)},
        (Section("Against the noise floor", panels=(panel,)), origin.section(None, settings)),
    )


def audit_verdict(audit: Audit) -> Verdict:
    """Whether the published shift gains anything when it is applied."""
    low, high = sorted((audit.net.sample, audit.net.population))
    between = f"between {low:+.2f} and {high:+.2f} nats"
    if low > 0:
        return Verdict(
            f"Applying the published shift gains {between}; use it, or a less noisy one.", USE
        )
    if high < 0:
        return Verdict(
            f"The published shift is mostly noise: applied it changes the bound by {between}; do not use it.",
            DO_NOT,
        )
    return Verdict(f"Whether the published shift gains is not known: {between}.")


def draw_noise_floor(ax: Axes, t: Tensor, mean_sq: Tensor, audit: Audit) -> None:
    """|mean|^2 over time against the noise floor."""
    times = t.numpy()
    ax.fill_between(
        times,
        audit.floor_population.numpy(),
        audit.floor_sample.numpy(),
        color=GREY,
        alpha=0.4,
        lw=0,
        label="noise floor $V/N$: population to sample",
    )
    ax.plot(times, mean_sq.numpy(), color=ORANGE, lw=1.2, label=r"published $|\mathrm{mean}|^2$")
    ax.plot(
        times,
        (mean_sq - audit.floor_sample).numpy(),
        color=BLUE,
        lw=0.8,
        label="what is left of it (sample)",
    )
    ax.axhline(0, color="black", lw=0.6)
    ax.set(xlabel="time $t$", ylabel=r"$|\eta_t|^2$", title="A plain average is mostly noise")
    ax.legend()
