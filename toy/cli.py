"""``python -m toy``: verify every claim against exact truth; draw the theory figures."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from theory.program import (
    Parser,
    count,
    replacing_folder,
    require_file,
    require_folder,
    seed,
    write_json,
)
from toy import falsify, figures
from toy.brought import load_model, load_schedule
from toy.claims import ALL
from toy.parallel import default_jobs, verify_apart
from toy.verify import Verdict, as_json, lines, stands, summary, verify


def main(arguments: list[str]) -> int:
    """Run the subcommand; status 1 if a claim falls or a mutant survives."""
    options = _parser().parse_args(arguments)
    return options.command(options)


def _verify(options: argparse.Namespace) -> int:
    if options.json:
        require_file(options.json)
    verdicts = []
    for verdict in _verdicts(options):
        verdicts.append(verdict)
        for line in lines(verdict):
            tqdm.write(line)
    print(summary(verdicts))
    if options.json:
        write_json(options.json, as_json(verdicts))
    return 0 if stands(verdicts) else 1


def _verdicts(options: argparse.Namespace) -> Iterator[Verdict]:
    tried = (options.examples, options.seed)
    if options.schedule:
        claims = falsify.schedule_claims(load_schedule(options.schedule))
        verdicts = falsify.falsify(claims, *tried)
    elif options.model:
        claims = falsify.model_claims(load_model(options.model))
        verdicts = falsify.falsify(claims, *tried)
    else:
        claims = ALL
        verdicts = _of_all(*tried, jobs=options.jobs)
    yield from tqdm(verdicts, "verify", len(claims), disable=options.quiet, delay=1)


def _of_all(examples: int, seed: int, jobs: int) -> Iterator[Verdict]:
    if jobs == 1:
        return verify(ALL, examples, seed)
    return verify_apart([claim.id for claim in ALL], examples, seed, jobs)


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
        "a mutant survives.",
        epilog="example: python -m toy verify --examples 200 --json verify.json",
    )
    command.add_argument("--examples", type=count, default=150, help="cases per exact claim (150)")
    command.add_argument(
        "--jobs",
        type=count,
        default=default_jobs(),
        help="processes at once, which change nothing but the time (one per core)",
    )
    brought = command.add_mutually_exclusive_group()
    brought.add_argument(
        "--schedule",
        metavar="FILE.py:NAME",
        help="try this theory.schedules.Schedule instead, without mutants",
    )
    brought.add_argument(
        "--model",
        metavar="FILE.py:NAME",
        help="try this toy.brought.Model, or function score(x_t, t, diffusion), instead, "
        "without mutants",
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
