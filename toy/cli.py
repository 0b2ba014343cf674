"""``python -m toy``: verify every claim against exact truth; draw the theory figures."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from theory.support.command_line import Parser, count, seed
from theory.support.errors import InputError
from theory.support.output import replacing_folder, require_file, require_folder, write_json
from toy import figures
from toy.claims.parallel import default_jobs, verify_apart
from toy.claims.table import ALL
from toy.falsifier import falsify
from toy.falsifier.admission import load_model, load_schedule
from toy.judge.claim import Claim
from toy.judge.verdicts import Verdict, as_json, falls, lines, stands, summary, verify

NOT_RESOLVED = 3
"""Exit status where nothing falls, but some claim could not be resolved."""


def main(arguments: list[str]) -> int:
    """Run the subcommand; status 1 if a claim falls or a mutant survives, 3 if one is left open."""
    options = _parser().parse_args(arguments)
    return options.command(options)


def _verify(options: argparse.Namespace) -> int:
    if options.list:
        for claim in ALL:
            print(f"{claim.id:20} §{claim.section}  {claim.says}")
        return 0
    if options.json:
        require_file(options.json)
    verdicts = []
    for verdict in _verdicts(options):
        verdicts.append(verdict)
        for line in lines(verdict):
            tqdm.write(line)
    print(summary(verdicts))
    if options.json:
        asked_for = {"examples": options.examples, "seed": options.seed}
        write_json(options.json, asked_for | as_json(verdicts))
    return 0 if stands(verdicts) else 1 if falls(verdicts) else NOT_RESOLVED


def _verdicts(options: argparse.Namespace) -> Iterator[Verdict]:
    tried, total = (options.examples, options.seed), None
    if options.schedule:
        verdicts = falsify.falsify(falsify.schedule_stages(load_schedule(options.schedule)), *tried)
    elif options.model:
        verdicts = falsify.falsify(falsify.model_stages(load_model(options.model)), *tried)
    else:
        claims = _named(options.only)
        verdicts, total = _of_table(claims, *tried, jobs=options.jobs), len(claims)
    yield from tqdm(verdicts, "verify", total, disable=options.quiet, delay=1)


def _named(ids: str | None) -> tuple[Claim, ...]:
    """The claims of these ids, in the order of the table; all by default."""
    if ids is None:
        return ALL
    wanted = [name.strip() for name in ids.split(",")]
    unknown = sorted(set(wanted) - {claim.id for claim in ALL})
    if unknown:
        raise InputError(f"--only: no claim {', '.join(map(repr, unknown))} (see --list)")
    return tuple(claim for claim in ALL if claim.id in wanted)


def _of_table(claims: tuple[Claim, ...], examples: int, seed: int, jobs: int) -> Iterator[Verdict]:
    if jobs == 1:
        return verify(claims, examples, seed)
    return verify_apart([claim.id for claim in claims], examples, seed, jobs)


def _plots(options: argparse.Namespace) -> int:
    from toy import plots

    require_folder(options.out)
    steps = tqdm(figures.ALL.items(), desc="plots", disable=options.quiet, delay=1)
    results = {name: compute(options.seed) for name, compute in steps}
    with replacing_folder(options.out) as folder:
        written = plots.save_all(folder, results)
    for name in written:
        print(options.out / name)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m toy", description="Exact toy models, against which the theory is tried."
    )
    common = Parser(add_help=False)
    common.add_argument("--seed", type=seed, default=0, help="seed of everything random (0)")
    common.add_argument("--quiet", action="store_true", help="no progress bar")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "verify",
        parents=[common],
        help="try every claim, and its mutants, which must be caught",
        description="Try every claim on cases that Hypothesis makes, and beside it its mutants: "
        "the same claim with a mistake, which must be caught. Exit status 1 if a claim falls or "
        "a mutant survives; 3 if none does, but for some claim too few cases could be resolved by "
        "quadrature (OPEN), which speaks neither for nor against it; 2 if what is given cannot be "
        "tried; else 0.",
        epilog="example: python -m toy verify --examples 200 --json verify.json",
    )
    command.add_argument("--examples", type=count, default=50, help="cases per exact claim (50)")
    command.add_argument(
        "--jobs",
        type=count,
        default=default_jobs(),
        help="processes at once, which change nothing but the time (one per core)",
    )
    brought = command.add_mutually_exclusive_group()
    brought.add_argument(
        "--only",
        metavar="ID[,ID...]",
        help="try only the claims of these ids (see --list), with their mutants",
    )
    brought.add_argument("--list", action="store_true", help="print the claims and try none")
    brought.add_argument(
        "--schedule",
        metavar="FILE.py:NAME",
        help="try this theory.Schedule instead, without mutants, on every exact claim that "
        "takes a schedule (those that suppose a smooth one only if it is)",
    )
    brought.add_argument(
        "--model",
        metavar="FILE.py:NAME",
        help="try this toy.Model, or function score(x_t, t, diffusion), instead, "
        "without mutants, on the claims on exact models",
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts as JSON")
    command.set_defaults(command=_verify)

    command = commands.add_parser(
        "plots",
        parents=[common],
        help="draw the theory figures",
        description="Draw the theory figures as PNG and PDF.",
        epilog="example: python -m toy plots --out figures",
    )
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    command.set_defaults(command=_plots)
    return parser
