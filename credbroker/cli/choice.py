"""Which broker and which login a command means, when not everything is said.

What is left out is found if there is only one; otherwise a sentence lists what there is. Options
count before the environment, and that before the lease file. A lease is only ever shown to the
broker that gave it, so the address of a login that exists cannot be overridden.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, List, Mapping, Optional, Tuple

from credbroker.delivery import lease_file
from credbroker.domain.errors import LocalFileUnfit, Malformed, NotFound
from credbroker.domain.scopes import ScopeSet

if TYPE_CHECKING:
    import argparse

    from credbroker.client.broker import Broker
    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.wire.native import StartLogin

ADDRESS_VARIABLE = "CREDBROKER_URL"
CA_FILE_VARIABLE = "CREDBROKER_CA_FILE"


def add_login_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which login is meant, and the certificate authority."""
    parser.add_argument(
        "issuer", metavar="ISSUER", nargs="?", help="the issuer's short name, if there are several"
    )
    parser.add_argument("--role", metavar="R", help="the role, if there are several")
    add_ca_argument(parser)


def add_right_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the token shall allow and for whom it shall be."""
    parser.add_argument(
        "--scope", metavar="S", action="append", help="one scope; repeat it (default: all granted)"
    )
    parser.add_argument("--audience", metavar="A", action="append", help="one audience; repeat it")


def add_ca_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the certificate authority."""
    parser.add_argument(
        "--ca-file",
        metavar="FILE",
        help=f"certificate authorities to trust (default: ${CA_FILE_VARIABLE}, then as at login)",
    )


def choose_ca_file(args: argparse.Namespace, environ: Mapping[str, str]) -> Optional[str]:
    """Return the absolute path of the certificate authorities that were said; None if none were."""
    said: Optional[str] = args.ca_file or environ.get(CA_FILE_VARIABLE)
    return str(Path(said).absolute()) if said else None


def choose_address(said: Optional[str], environ: Mapping[str, str]) -> str:
    """Return the broker's address for a new login; raise `Malformed` if none is known."""
    address = said or environ.get(ADDRESS_VARIABLE)
    if address:
        return address
    known = {lease.broker for _, lease in readable_logins(environ)}
    if len(known) != 1:
        raise Malformed(
            "It is not said which broker to use.",
            f"Give --broker https://broker.example.org:8200, or set {ADDRESS_VARIABLE}.",
        )
    return known.pop()


def choose_issuer(said: Optional[str], broker: Broker) -> str:
    """Return the issuer to log in at; raise `Malformed` with the list if it must be said."""
    if said:
        return said
    return _only([one.name for one in broker.issuers().issuers])


def _only(names: List[str]) -> str:
    if len(names) != 1:
        listed = ", ".join(names) or "none"
        raise Malformed(
            f"This broker serves several issuers: {listed}.",
            "Name one, as in: credbroker login ISSUER",
        )
    return names[0]


def choose_place(issuer: Optional[str], role: Optional[str], broker: Broker) -> StartLogin:
    """Return which login is meant, its role named: the broker's first one if none is said.

    Raises:
        Malformed: There are several issuers; the sentence lists them.
        NotFound: The broker does not serve this one.
    """
    from credbroker.wire.native import StartLogin

    if issuer and role:
        return StartLogin(issuer, role)
    offered = {one.name: one.roles for one in broker.issuers().issuers}
    name = issuer or _only(list(offered))
    if not offered.get(name):
        raise NotFound(
            f"The broker has no issuer {name}.", f"It has: {', '.join(offered) or 'none'}."
        )
    return StartLogin(name, role or offered[name][0])


def choose_login(
    issuer: Optional[str], role: Optional[str], environ: Mapping[str, str]
) -> Tuple[Path, LeaseFile]:
    """Return the person's lease file that is meant.

    Raises:
        LoginNeeded: There is none.
        Malformed: There are several; the sentence lists them.
        LocalFileUnfit: The only one there is cannot be used.
    """
    path = lease_file.only_path(environ, issuer, role, "Say which: ISSUER --role ROLE.")
    if path is None:
        raise lease_file.not_logged_in(issuer, role)
    return path, lease_file.read(path)


def choose_scopes(said: Optional[List[str]]) -> Optional[List[str]]:
    """Return the scopes of all options; one option may hold several, as a token does.

    Raises:
        Malformed: One of them can be no scope; nobody needs to be asked to know.
    """
    try:
        return None if said is None else ScopeSet.parse(" ".join(said)).texts()
    except Malformed as unread:
        raise Malformed(unread.sentence, "Mend the scope and try again.") from None


def choose_audiences(said: Optional[List[str]]) -> Optional[List[str]]:
    """Return the audiences of all options; one option may hold several."""
    return None if said is None else " ".join(said).split()


def readable_logins(environ: Mapping[str, str]) -> Iterator[Tuple[Path, LeaseFile]]:
    """Walk the person's logins whose lease files can be used; raise `LocalFileUnfit`."""
    for path in lease_file.person_paths(environ):
        with contextlib.suppress(LocalFileUnfit):
            yield path, lease_file.read(path)
