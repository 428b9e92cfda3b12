"""`credbroker audit`: is the trail as it was written, and what does it say of a token, a job, a person?

It reads files and nothing else: no broker, no OpenBao/Vault, and no settings where files are named. What
is followed has the words of `credbroker admin contain`, and the answer ends with the command to contain it.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from credbroker.admin.desk import Desk, system_desk
from credbroker.config.load import DEFAULT_FOLDER, load
from credbroker.telemetry.tracing import AuditLine, Followed, Selection, Trace
from credbroker.telemetry.trail_files import trail_files
from credbroker.telemetry.verifying import loose_ends, read_chain

TAMPERED = 1
# Beyond these an answer names how many more there are.
MOST_NAMED = 5

EXAMPLE = """\
`verify` ends with 0 if all lines are as they were written, with 1 if one was changed, put in or cut out.

examples:
  credbroker audit verify /var/log/credbroker
  credbroker audit trace --job run42 /var/log/credbroker /mnt/other-replica/audit
  credbroker audit trace --jti 3f9c2a7e --json audit-r1.jsonl audit-r2.jsonl.1.gz
"""

_SELECTIONS = {
    Followed.TOKEN: ("--token", "--jti"),
    Followed.JOB: ("--job",),
    Followed.PERSON: ("--person",),
    Followed.LEASE: ("--lease",),
    Followed.HOST: ("--host",),
    Followed.ISSUER: ("--issuer",),
    Followed.CLIENT: ("--client",),
    Followed.REQUEST: ("--request",),
}
_NAMES = {
    Followed.TOKEN: ("JTI", "an access token, by its jti"),
    Followed.JOB: ("NAME", "the leases and tokens of jobs of this name"),
    Followed.PERSON: ("ISSUER/IDENTITY-KEY", "all of a person, and of their robots"),
    Followed.LEASE: ("ID", "a lease, and all that was made from it"),
    Followed.HOST: ("NAME", "what was asked for from there: a host's address or name"),
    Followed.ISSUER: ("NAME", "all of an issuer's people"),
    Followed.CLIENT: ("COMMUNITY/CLIENT-ID", "what was signed for a service, or about a subject"),
    Followed.REQUEST: ("ID", "one request, by the id in a person's error message"),
}
_COLUMNS = ((20, "TIME"), (18, "EVENT"), (20, "PERSON"), (12, "JOB"), (22, "LEASE"),
            (22, "TOKEN"), (15, "FROM"), (0, "SCOPE"))  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the commands below `credbroker audit`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    verify = actions.add_parser(
        "verify", help="name every line that was changed, put in or cut out"
    )
    _add_files(verify)
    trace = actions.add_parser("trace", help="follow a token, job, person, lease, host or request")
    selected = trace.add_mutually_exclusive_group(required=True)
    for kind, options in _SELECTIONS.items():
        metavar, meaning = _NAMES[kind]
        selected.add_argument(*options, metavar=metavar, dest=kind.value, help=meaning)
    trace.add_argument(
        "--json", action="store_true", help="print the lines of the trail themselves"
    )
    _add_files(trace)


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", type=Path, nargs="*", metavar="FILE",
        help="files of the trail, rotated and packed (.gz) ones too, or folders of them, of all"
        " replicas (default: the folder that the settings name)",
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER",
        help="the folder of settings, *.yaml in name order (default: %(default)s)",
    )  # fmt: skip


def run(args: argparse.Namespace, desk: Desk | None = None) -> int:
    """Do what was asked for; return the exit status, or raise what went wrong."""
    desk = desk or system_desk()
    files = trail_files(args.files or [load(args.config).audit.folder])
    if args.action == "verify":
        return verify(desk, files)
    kind = next(one for one in _SELECTIONS if getattr(args, one.value) is not None)
    trace(desk, files, Selection.of(kind, getattr(args, kind.value)), as_json=args.json)
    return 0


def verify(desk: Desk, files: Sequence[Path]) -> int:
    """Print each fault, and how each file stands; return 1 if there is a fault, else 0.

    Raises `LocalFileUnfit` for a file that cannot be read.
    """
    chains = [read_chain(file) for file in files]
    faults = [fault for chain in chains for fault in chain.faults] + loose_ends(chains)
    for fault in faults:
        desk.answer(f"{fault}.")
    for chain in chains:
        state = (
            "not as it was written" if any(one.file == chain.file for one in faults) else "whole"
        )
        ends = f", ends with {chain.ends_with}" if chain.ends_with else ""
        half = "; half a line follows, which is being written or was when a broker died"
        desk.say(
            f"{chain.file}: {chain.lines} lines, {state}{ends}{half if chain.is_cut_short else ''}."
        )
    return TAMPERED if faults else 0


def trace(desk: Desk, files: Sequence[Path], selection: Selection, *, as_json: bool) -> None:
    """Print every line that belongs to the selection; then whom it touches, and how to contain it.

    Raises `LocalFileUnfit` for a file that cannot be read.
    """
    found = Trace(selection)
    for line, raw in found.follow(files):
        if as_json:
            desk.answer(json.dumps(json.loads(raw)))
            continue
        if found.lines == 1:
            desk.answer(_row([title for _, title in _COLUMNS]))
        desk.answer(_row(_cells(line)))
    if found.unreadable:
        desk.say(f"{found.unreadable} lines cannot be read; credbroker audit verify names them.")
    if not found.lines:
        desk.say("Nothing of it is in these files.")
        return
    _tell(desk, found)


def _cells(line: AuditLine) -> list[str]:
    lease = (
        f"{line.child} of {line.lease}" if line.child and line.lease else line.lease or line.child
    )
    token = f"{line.jti} of {line.subject_jti}" if line.jti and line.subject_jti else line.jti
    whose = line.person or "/".join(filter(None, [line.client_id, line.sub]))
    last = line.scope or line.error
    return [line.time[:19] + "Z", line.event, whose, line.for_job or line.job, lease,
            token or (f"of {line.subject_jti}" if line.subject_jti else ""), line.origin, last]  # fmt: skip


def _row(cells: Sequence[str]) -> str:
    widths = [width for width, _ in _COLUMNS]
    padded = [(cell or "-").ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip(" ")


def _tell(desk: Desk, found: Trace) -> None:
    for what, names in (
        ("People", found.people), ("Jobs", found.jobs), ("Leases", found.leases),
        ("Tokens", found.tokens), ("From", found.origins),
    ):  # fmt: skip
        if names:
            more = f", and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            desk.say(f"{what}: {len(names)}: {', '.join(sorted(names)[:MOST_NAMED])}{more}")
    contained = _to_contain(found)
    if contained:
        desk.say("To contain it, once you have seen what would be ended:")
    for kind, name in contained:
        behind = "-- " if name.startswith("-") else ""
        desk.say(f"  credbroker admin contain {kind} {behind}{shlex.quote(name)}")


def _to_contain(found: Trace) -> list[tuple[str, str]]:
    """Return what ends the selection; where it is one token or request, the leases it came by."""
    kind, name = found.selection.kind, found.selection.name
    if kind not in {Followed.TOKEN, Followed.REQUEST}:
        return [(kind.value, name)]
    # What another issuer signed is not ours to end.
    itself = [(kind.value, name)] if kind is Followed.TOKEN and name in found.signed else []
    leases = found.asked_by or found.leases
    return itself + [(Followed.LEASE.value, one) for one in sorted(leases)[:MOST_NAMED]]
