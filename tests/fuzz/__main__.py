"""`python -m tests.fuzz`: fuzz each target for a while; exit 1 if anything was found.

With the name of a target and files it only looks at these again, which needs no fuzzer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.fuzz import campaign
from tests.fuzz.seeds import FAULTS, TARGETS


def main() -> int:
    """Run what the arguments say."""
    args = _arguments()
    if args.files:
        return campaign.look_again(args.target, args.files)
    missing = campaign.missing()
    if missing:
        print(missing)
        return 0
    if args.alone:
        campaign.fuzz_here(args.target, args.engine, args.findings, args.plant)
    wanted = [args.target] if args.target else list(TARGETS)
    runs = [campaign.Run(one, args.count, args.seed, args.findings, args.plant) for one in wanted]
    found = [run.target for run in runs if not run.go(print)]
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=TARGETS, help="by default every one")
    parser.add_argument("files", nargs="*", type=Path, help="inputs to look at again")
    parser.add_argument("--count", type=int, default=20_000, help="how many inputs each gets")
    parser.add_argument("--seed", type=int, default=1, help="decides which ones")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), metavar="FOLDER")
    parser.add_argument("--plant", choices=FAULTS, help="a fault that must be found")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--engine", nargs=argparse.REMAINDER, default=[], help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
