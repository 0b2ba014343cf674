"""What ``python -m real choose`` found, in words."""

from real.quality.choice import Choice, Fall


def choice_lines(choice: Choice, frechet: str) -> list[str]:
    """The verdict, the two distances that decided, and what each way was at when it was last tried.

    Args:
        choice: what was chosen.
        frechet: what the Frechet distance between these features is called.
    """
    nothing = next(iter(choice.tried))
    verdict = (
        f"chosen: {choice.chosen}"
        if choice.chosen != nothing
        else f"chosen: {nothing}, as {choice.best}, the best of the others, is not certainly better"
    )
    return [
        verdict,
        _fall("kernel distance", choice.kernel),
        _fall(frechet, choice.frechet),
        *(_tried(name, choice) for name in choice.tried),
    ]


def _fall(distance: str, found: Fall) -> str:
    return (
        f"{distance}, noise and images that had no part in choosing: {found.before.value:.4g} -> "
        f"{found.after.value:.4g}, a fall of {found.fall.value:.2g} "
        f"(at least {found.fall.lower:.2g}, 95 %)"
    )


def _tried(name: str, choice: Choice) -> str:
    """Means of the trials, beside nothing in just these."""
    found = choice.tried[name]
    same = next(iter(choice.tried.values()))[: len(found)]
    kernel, frechet = (
        [sum(getattr(d, what) for d in some) / len(some) for some in (found, same)]
        for what in ("kernel", "frechet")
    )
    return (
        f"  {name}: {len(found)} trials, kernel distance {kernel[0]:.4g} ({kernel[1]:.4g} with nothing), "
        f"Frechet distance {frechet[0]:.4g} ({frechet[1]:.4g})"
    )
