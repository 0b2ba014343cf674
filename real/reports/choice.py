"""The report of ``python -m real choose``: what was chosen, and why."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from matplotlib.axes import Axes

from real.quality.choice import Choice, Distances, Fall
from real.reports.elements import Panel, Section, Table
from real.reports.origin import Origin
from real.reports.page import Report
from theory.calibration.verdict import USE, Verdict
from theory.statistics.intervals import FEW_IMAGES, cautions
from theory.support.plot_style import BLUE, GREY, ORANGE


def choice_report(
    choice: Choice,
    meaning_of: Callable[[str], str],
    frechet: str,
    *,
    width: int,
    solver: str,
    settings: Mapping[str, Any],
    fingerprint: str,
    origin: Origin,
) -> Report:
    """The verdict, the two distances that decided, and what each way was at when it was last tried.

    Args:
        choice: what was chosen.
        meaning_of: what the way of a name does.
        frechet: what the Frechet distance between these features is called.
        width: of the features, more than which a covariance needs.
        solver: of nothing, in words: which the file holds where nothing is chosen.
        settings: of the command, to be told; ``samples`` in each trial among them.
        fingerprint: of the network.
        origin: the command that made it.
    """
    panel = Panel(
        partial(draw_tried, choice=choice, label=frechet),
        f"{frechet} of each way over that of nothing on the same trials",
    )
    numbers = {
        "chosen": choice.chosen,
        "best": choice.best,
        "kernel": _plain(choice.kernel),
        "frechet": _plain(choice.frechet),
        "settings": dict(settings),
        "tried": {name: [vars(d) for d in found] for name, found in choice.tried.items()},
    }
    sections = (
        Section(
            "What was tried",
            (
                "All ways start from the same noise. The worse half goes after each round of trials; what is "
                "left is held against nothing with other noise and other images.",
            ),
            (panel,),
            tables=(_table(choice, meaning_of, frechet),),
        ),
        origin.section(fingerprint, settings),
    )
    return Report(
        "choice",
        "A way to sample, chosen by samples",
        _verdict(choice, meaning_of, solver),
        [
            *cautions("samples", settings["samples"], max(FEW_IMAGES, width + 1)),
            _fall("kernel distance", choice.kernel),
            _fall(frechet, choice.frechet),
            *_below_zero(choice),
        ],
        numbers,
        sections,
    )


def _below_zero(choice: Choice) -> list[str]:
    """Why a kernel distance may be negative, where one is."""
    shown = [_mean(found, "kernel") for found in choice.tried.values()]
    shown += [choice.kernel.before.value, choice.kernel.after.value]
    if min(shown) >= 0:
        return []
    return [
        "the estimate of the kernel distance is unbiased: below zero half of the time where there is none"
    ]


def _verdict(choice: Choice, meaning_of: Callable[[str], str], solver: str) -> Verdict:
    nothing = next(iter(choice.tried))
    if choice.chosen == nothing:
        return Verdict(
            f"Chosen: {nothing}, as the best of the others is not certainly better: {choice.best} "
            f"({meaning_of(choice.best)}). The file holds {solver} with nothing fitted to it."
        )
    return Verdict(
        f"Chosen: {choice.chosen} ({meaning_of(choice.chosen)}); its samples are certainly nearer to "
        "real images; use it.",
        USE,
    )


def _plain(fall: Fall) -> dict[str, Any]:
    return {name: vars(estimate) for name, estimate in vars(fall).items()}


def draw_tried(ax: Axes, choice: Choice, label: str) -> None:
    """Distance of each way over that of nothing on the same trials, a bar each."""
    others = list(choice.tried)[1:]
    ratios = [
        _mean(choice.tried[name], "frechet") / _mean(_same(choice, name), "frechet")
        for name in others
    ]
    colours = [BLUE if name == choice.chosen else GREY for name in others]
    ax.barh(others, ratios, color=colours)
    ax.axvline(1, color=ORANGE, lw=1)
    ax.tick_params(axis="y", labelsize=7)
    ax.set(xlabel=f"{label},\nover that of nothing")
    ax.invert_yaxis()


def _table(choice: Choice, meaning_of: Callable[[str], str], frechet: str) -> Table:
    columns = (
        "way",
        "what it does",
        "trials",
        "kernel distance",
        "kernel distance of nothing",
        frechet,
        f"{frechet} of nothing",
    )
    rows = []
    for name, found in choice.tried.items():
        same = _same(choice, name)
        values = (_mean(some, what) for what in ("kernel", "frechet") for some in (found, same))
        rows.append(
            [name, meaning_of(name), str(len(found)), *(f"{value:.4g}" for value in values)]
        )
    return Table(
        columns,
        rows,
        "Means of the trials that each way took part in, beside nothing in just these",
    )


def _same(choice: Choice, name: str) -> list[Distances]:
    """Of nothing, on the trials that a way took part in."""
    return next(iter(choice.tried.values()))[: len(choice.tried[name])]


def _mean(found: list[Distances], what: str) -> float:
    return sum(getattr(d, what) for d in found) / len(found)


def _fall(distance: str, found: Fall) -> str:
    return (
        f"{distance}, noise and images that had no part in choosing: {found.before.value:.4g} -> "
        f"{found.after.value:.4g}, a fall of {found.fall.value:.2g} "
        f"(at least {found.fall.lower:.2g}, 95 %)"
    )
