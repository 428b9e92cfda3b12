"""`python -m tests.chaos`: a campaign of faults; see the package's own words."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.chaos import pace as paces
from tests.chaos import plan as plans
from tests.chaos.campaign import Campaign
from tests.chaos.dice import Dice
from tests.chaos.planted import BUGS
from tests.chaos.report import BROKEN_OFF, Report
from tests.chaos.world import World


def main() -> int:
    """Run a campaign; 0 if everything was as it must be."""
    args = _arguments()
    dice = Dice(args.seed)
    only = tuple(args.only) or (plans.SHORT_NAMES if args.short else ())
    plan = plans.share(args.count, dice, only)
    report = Report(args.seed, args.count, not_finished=BROKEN_OFF)
    folder = Path(tempfile.mkdtemp(prefix="credbroker-chaos-"))
    pace = replace(paces.SHORT if args.short else paces.FULL, rules=tuple(args.rules))
    world = World(folder, pace, SystemClock(), SystemEntropy(), dice)
    world.plant = args.plant or ""
    try:
        asyncio.run(_campaign(Campaign(world, plan, report, print), world))
    except KeyboardInterrupt:
        report.not_finished = "It was interrupted."
    finally:
        report.write(args.report)
    print(report.table())
    if args.keep or (report.shortcomings() and not args.plant):
        print(f"What everybody said is in {folder}.")
    else:
        shutil.rmtree(folder)
    return 1 if report.shortcomings() else 0


async def _campaign(campaign: Campaign, world: World) -> None:
    running = asyncio.current_task()
    assert running is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        await world.open()
        await campaign.run()
    finally:
        await world.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=main.__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many faults must take effect")
    parser.add_argument("--seed", type=int, default=1, help="decides what happens in which order")
    parser.add_argument("--report", type=Path, default=Path("chaos-report.json"))
    parser.add_argument("--short", action="store_true", help="one OpenBao node and few people")
    parser.add_argument("--only", nargs="*", default=[], choices=plans.NAMES, metavar="KIND")
    parser.add_argument("--rules", nargs="+", default=paces.RULES, choices=paces.RULES)
    parser.add_argument("--plant", choices=sorted(BUGS), help="a bug that must be found")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
