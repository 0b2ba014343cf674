"""``python -m toy verify``: try every claim and its mutants, or a user's own schedule or model."""

import argparse
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from theory.support.command_line import count, did_you_mean, file_named, seed
from theory.support.errors import InputError
from theory.support.output import keep, require_file, require_other, write_json
from theory.support.user_code import load_object

SLOW = 2.0
"""Seconds for a few calls of a user's model, after which the time of all is told."""

NOT_RESOLVED = 3
"""Exit status where nothing falls, but some claim could not be resolved."""

MOST_JOBS = 8
"""By default: the longest claim takes an eighth of the time of all of them."""


def default_jobs() -> int:
    """The number of cores that may be used, up to ``MOST_JOBS``."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, MOST_JOBS)


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = commands.add_parser(
        "verify",
        description="Try every claim on cases that Hypothesis makes, and beside it its mutants: "
        "the same claim with a mistake, which must be caught. Exit status 1 if a claim falls or "
        "a mutant survives; 3 if none does, but for some claim too few cases could be resolved by "
        "quadrature (OPEN), which speaks neither for nor against it; 2 if what is given cannot be "
        "tried; else 0.",
        epilog="examples: python -m toy verify --examples 200 --json verify.json; "
        "python -m toy example schedule > mine.py && "
        "python -m toy verify --schedule mine.py:Mine",
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of everything random (0)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--examples", type=count, default=50, help="cases per exact claim (50)")
    parser.add_argument(
        "--jobs",
        type=count,
        default=default_jobs(),
        help="processes at once, which change nothing but the time (one per core)",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--only",
        metavar="ID[,ID...]",
        help="try only the claims of these ids, or of what only one id begins with (see --list), "
        "with their mutants",
    )
    choice.add_argument("--list", action="store_true", help="print the claims and try none")
    choice.add_argument(
        "--schedule",
        metavar="FILE.py:NAME",
        help="try this theory.Schedule instead, without mutants, on every exact claim that "
        "takes a schedule (those that suppose a smooth one only if it is); "
        "python -m toy example schedule prints one",
    )
    choice.add_argument(
        "--model",
        metavar="FILE.py:NAME",
        help="try this toy.Model, or function score(x_t, t, diffusion), or score(x_t, t) of the "
        "one diffusion in its file, instead, without mutants, on the claims on exact models; "
        "python -m toy example model (or score) prints one",
    )
    parser.add_argument(
        "--json", type=file_named(".json"), metavar="FILE", help="write the verdicts as JSON"
    )


def run(options: argparse.Namespace) -> int:
    """Try what is asked for; status 1 if a claim falls or a mutant survives, 3 if one is left open."""
    if options.list and (unread := options.typed & {"examples", "seed", "jobs", "json", "quiet"}):
        raise InputError(f"--list: tries no claim and expects no --{min(unread)} beside it")
    if options.json:
        require_file(options.json)
    reference = options.schedule or options.model
    if options.json and reference:
        require_other(options.json, Path(reference.rpartition(":")[0]))
    user_object = (
        load_object(reference) if reference else None
    )  # before the libraries: it may be missing
    import torch

    torch.set_num_threads(1)  # the tensors are small
    if options.list:
        return _list()
    if reference is None:
        return _report(_of_table(options), options)
    return _report(_of_user(options, user_object, reference), options)


def _list() -> int:
    from toy.claims.table import ALL

    for claim in ALL:
        print(f"{claim.id:20} §{claim.section}  {claim.says}")
    return 0


def _of_table(options: argparse.Namespace) -> Any:
    """Verdicts of the table's claims, and their number."""
    from toy.claims.processes import begin_to_load

    if options.jobs > 1:
        begin_to_load()
    from toy.claims.parallel import verify_in_processes
    from toy.claims.table import ALL
    from toy.judge.verdicts import verify

    claims = ALL if options.only is None else _named(options.only, ALL)
    tried = options.examples, options.seed
    if options.jobs == 1:
        return verify(claims, *tried), len(claims)
    return verify_in_processes([claim.id for claim in claims], *tried, options.jobs), len(claims)


def _named(ids: str, claims: tuple[Any, ...]) -> tuple[Any, ...]:
    """The claims of these ids, or of what only one id begins with, in the order of the table."""
    known = [claim.id for claim in claims]
    wanted = {_whole_id(name.strip(), known) for name in ids.split(",")}
    return tuple(claim for claim in claims if claim.id in wanted)


def _whole_id(name: str, known: list[str]) -> str:
    found = [name] if name in known else [id_ for id_ in known if name and id_.startswith(name)]
    if len(found) > 1:
        raise InputError(f"--only: {name!r} begins several claims: {', '.join(found)}")
    if not found:
        raise InputError(f"--only: no claim {name!r} (see --list){did_you_mean(name, known)}")
    return found[0]


def _of_user(options: argparse.Namespace, user_object: Any, reference: str) -> Any:
    """Verdicts of a user's schedule or model, whose number is not known."""
    from toy.falsifier.falsify import falsify, model_stages, schedule_stages
    from toy.falsifier.scales import held_squares
    from toy.falsifier.validation import as_model, as_schedule

    if options.schedule:
        schedule = as_schedule(user_object, reference)
        if note := held_squares(schedule):
            print(f"note: {note}")
        stages = schedule_stages(schedule)
    else:
        begun = time.monotonic()
        model = as_model(user_object, reference)
        if (seconds := time.monotonic() - begun) > SLOW:
            print(
                f"note: a few calls of {reference} took {seconds:.0f} s; the claims need thousands"
            )
        stages = model_stages(model)
    return falsify(stages, options.examples, options.seed), None


def _report(found: Any, options: argparse.Namespace) -> int:
    """Print each verdict as it comes, and write them."""
    from tqdm import tqdm

    from toy.judge import verdicts as of

    (verdicts, total), seen, not_tried = found, [], []
    told: dict[str, str] = {}
    progress: Iterator[of.Verdict | of.NotTried] = tqdm(
        verdicts, "verify", total, disable=options.quiet or None, delay=1
    )
    for verdict in progress:
        if isinstance(verdict, of.NotTried):
            not_tried.append(verdict)
            tqdm.write(verdict.line())
            continue
        seen.append(verdict)
        for line in of.report_lines(verdict, told):
            tqdm.write(line)
        evidence = verdict.evidence
        reasons = [e.reason for e in evidence.explanations if e.reason]
        told = dict.fromkeys(reasons, evidence.claim) | told
    print(of.summary_line(seen))
    if options.json:
        asked_for = {"examples": options.examples, "seed": options.seed}
        keep(options.json, partial(write_json, value=asked_for | of.as_json(seen, not_tried)))
    return 0 if of.stands(seen) else 1 if of.falls(seen) else NOT_RESOLVED
