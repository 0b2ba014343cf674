"""``python -m theory``: prove every statement that algebra can prove."""

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from theory import __version__
from theory.support.command_line import Parser, add_version, file_named, run
from theory.support.output import keep, require_file, write_json

if TYPE_CHECKING:
    from theory.proofs.algebra import Proof


def main(arguments: list[str]) -> int:
    """Prove every statement; status 1 if one fails.

    Raises:
        InputError: arguments that do not fit, or an output that cannot be written. It is raised
            before sympy is loaded.
    """
    options = _parser().parse_args(arguments)
    if options.json:
        require_file(options.json)
    from tqdm import tqdm

    from theory.proofs import STATEMENTS
    from theory.proofs.algebra import prove

    proofs = [
        prove(s) for s in tqdm(STATEMENTS, desc="prove", disable=options.quiet or None, delay=1)
    ]
    _show(proofs)
    if options.json:
        keep(options.json, partial(write_json, value={"statements": [asdict(p) for p in proofs]}))
    return 0 if all(p.proved for p in proofs) else 1


def _parser() -> Parser:
    parser = Parser(
        prog="python -m theory",
        description="Prove every symbolic statement of the theory. Exit status 1 if one fails.",
        epilog="example: python -m theory --json proofs.json",
    )
    add_version(parser, __version__)
    parser.add_argument(
        "--json", type=file_named(".json"), metavar="FILE", help="write the proofs as JSON"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _show(proofs: "list[Proof]") -> None:
    for p in proofs:
        verdict = "proved" if p.proved else "FAILED"
        kind = "identity" if p.identity else ""
        print(
            f"{verdict}  §{p.section:2} {p.id:22} {p.seconds:6.2f} s  {p.holds_in:6} {kind:8} {p.says}"
        )
        if not p.proved:
            print(f"        residual: {p.residual}")
    for kind, some in (
        ("statements", [p for p in proofs if not p.identity]),
        (
            "identities of a line, which are not counted among them,",
            [p for p in proofs if p.identity],
        ),
    ):
        if some:
            print(f"{sum(p.proved for p in some)} of {len(some)} {kind} proved")


def program() -> None:
    """Run on the command line: the entry point of ``martingale-theory``."""
    run("python -m theory", main)


if __name__ == "__main__":
    program()
