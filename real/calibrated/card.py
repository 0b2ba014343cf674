"""The model card of a calibration: what it is of, what is certified, and how it is used."""

from theory.calibration.result import Calibration
from theory.statistics.intervals import LEVEL


def calibration_card(calibration: Calibration, repository: str) -> str:
    """The card as Markdown.

    Args:
        calibration: what it is of.
        repository: where it will lie.
    """
    made = calibration.provenance
    bound = calibration.total_certificate
    certified = (
        f"It gains at least {bound:.4g} nats of the likelihood bound over its times "
        f"({LEVEL:.0%}, {calibration.certainty})."
        if bound > 0
        else "No gain is certain in all."
    )
    warning = calibration.warning()
    doubts = (
        [f"**The network may not be what it is said to be:** {warning}.", ""] if warning else []
    )
    rows = {
        "network": made.get("checkpoint", "not said"),
        "fingerprint": made.get("fingerprint", "not said"),
        "target": calibration.target.name,
        "images": f"{made.get('images', 'not said')}",
        "times": str(len(calibration.times)),
        "order": str(made.get("order", 0)),
    }
    return "\n".join(
        [
            "---",
            "library_name: diffusers",
            "tags: [diffusion, calibration]",
            "---",
            "",
            f"# A calibration of {rows['network']}",
            "",
            *doubts,
            f"{certified} What this assumes: independent images of the law that the network was trained "
            "for, and that no rare image matters which the sample lacks. It does not promise better samples: "
            "measure them.",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in rows.items()),
            "",
            "```python",
            "from real import attach",
            "",
            f'handle = attach(pipe, "{repository}")  # a diffusers pipeline of this network',
            "```",
            "",
        ]
    )
