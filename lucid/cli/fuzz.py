"""`lucid fuzz`: random programs."""

from __future__ import annotations

import argparse

from ..residence import DEVICES
from ..testing import campaign


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=60, help="how long to run (60)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same programs (0)")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes (1)")
    parser.add_argument("--programs", type=int, help="stop after so many programs, if that is sooner")
    parser.add_argument(
        "--draws", type=int, help="how many programs of each structure (100; on another device 6)"
    )
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where programs run (cpu)")
    parser.add_argument(
        "--corpus", metavar="DIR", help="a folder for programs that fail, or that reach something new"
    )


def run(options: argparse.Namespace) -> int:
    draws = options.draws or (campaign.DRAWS if options.device == "cpu" else campaign.ABROAD)
    outcome = campaign.run(
        options.seconds, options.seed, options.jobs, options.corpus, options.programs, draws=draws,
        device=options.device,
    )  # fmt: skip
    for line in campaign.report(outcome, options.seed):
        print(line, flush=True)
    return int(bool(outcome.found))
