"""Where things are for htgettoken: the server, its paths, and the person's files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Mapping, Optional

from credbroker.cli.htgettoken.options import MOST_SECONDS_ON_DISK, PROGRAM
from credbroker.client.address import Address, parse_address
from credbroker.client.blocking import BlockingClock, Door
from credbroker.client.reaching import CA_FILE_VARIABLE
from credbroker.delivery import discovery
from credbroker.delivery.vault_files import STANDARD_OUTPUT, is_stream
from credbroker.domain.errors import LocalFileUnfit, Malformed

if TYPE_CHECKING:
    from credbroker.cli.htgettoken.options import Options
    from credbroker.client.broker import Send

USUAL_PORT = 8200
_AUTHORITIES_VARIABLE = "X509_CERT_DIR"
_GRID_AUTHORITIES = "/etc/grid-security/certificates"

Reach = Callable[[Address, BlockingClock, "Options", Mapping[str, str]], "Send"]
"""Makes the way to a server, with the authorities that options and environment name."""


def reach(
    address: Address, clock: BlockingClock, options: Options, environ: Mapping[str, str]
) -> Send:
    """Return what sends requests to the server at `address`; raise `LocalFileUnfit`."""
    if options.capath and not Path(options.capath).is_dir():
        raise LocalFileUnfit(f"{options.capath} is no folder.", "Mend --capath.")
    folder = options.capath or environ.get(_AUTHORITIES_VARIABLE) or _GRID_AUTHORITIES
    is_server = options.vaultserver is not None and address == server_of(options)
    door = Door(
        address,
        clock,
        options.cafile or environ.get(CA_FILE_VARIABLE) or None,
        ca_folder=folder if Path(folder).is_dir() else None,
        certificate_name=options.vaultcertname if is_server else None,
    )
    return door.send


def server_of(options: Options) -> Address:
    """Return the server's address; raise `Malformed`."""
    return _address(options.vaultserver or "", USUAL_PORT)


def service_of(options: Options) -> Address:
    """Return the address of the service that the server is one of; raise `Malformed`."""
    return _address(options.vaultalias or options.vaultserver or "", USUAL_PORT)


def url_of(address: Address) -> str:
    """Return the address with its port, also where it is the usual one, which readers look for."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"https://{host}:{address.port}"


@dataclass(frozen=True)
class OptionPage:
    """Where an option server has its text."""

    address: Address
    target: str


def option_page(options: Options) -> OptionPage:
    """Return where the option server has its text; raise `Malformed`."""
    said = options.optserver or ""
    if "://" not in said:
        return OptionPage(_address(said, 443), f"/{PROGRAM}opts.txt")
    host, slash, path = said.partition("://")[2].partition("/")
    if not path.isascii() or not path.isprintable() or " " in path:
        raise Malformed("The option server's address has a character that addresses do not have.")
    return OptionPage(_address(host, 443), slash + path or "/")


def _address(said: str, usual_port: int) -> Address:
    """Read a host or URL as htgettoken does: TLS whatever the scheme, and no path."""
    authority = said.rpartition("://")[2].partition("/")[0]
    has_port = ":" in authority.rpartition("]")[2]
    if not authority:
        raise Malformed("A server needs a name.", "Give it as in -a htvault.example.org.")
    return parse_address(f"https://{authority}" + ("" if has_port else f":{usual_port}"))


@dataclass(frozen=True)
class Files:
    """The person's files, as full paths or names of streams.

    `vault_in` is where a vault token is read; `is_handed_over` if it comes through a stream, so that it
    is exchanged before use. It is None where a stream would have to be read that is for writing.
    """

    vault: str
    vault_in: Optional[str]
    is_handed_over: bool
    bearer: str
    credkey: Path


def files_of(options: Options, environ: Mapping[str, str], euid: int) -> Files:
    """Return where everything is.

    Raises:
        Malformed: A lasting vault token would be kept on disk, or a name leads elsewhere.
    """
    if "/" in options.issuer + options.role:
        raise Malformed("An issuer's or a role's name has no slash.", "Mend -i or -r.")
    lasts = options.vault_seconds > MOST_SECONDS_ON_DISK
    said = options.vaulttokenfile
    vault = said if said is not None else STANDARD_OUTPUT if lasts else f"/tmp/vt_u{euid}"  # noqa: S108 - its own name for it
    if lasts and not is_stream(vault):
        raise Malformed(
            "A vault token that lasts more than a million seconds is not kept in a file.",
            "Give a --vaulttokenfile in /dev, or a --vaulttokenttl of 11d or less.",
        )
    handed_over = is_stream(options.vaulttokeninfile)
    named = options.vaulttokeninfile.replace("%vaulttokenfile", vault)
    bearer = options.outfile or str(discovery.path_for_writing(environ, euid))
    remembered = f"{options.configdir}/credkey-{options.issuer}-{options.role}"
    return Files(
        vault=_full(vault, environ, euid),
        vault_in=None if is_stream(named) and not handed_over else _full(named, environ, euid),
        is_handed_over=handed_over,
        bearer=bearer.replace("%uid", str(euid)),
        credkey=Path(_full(remembered, environ, euid)),
    )


def session_vault_file(words: str, euid: int) -> str:
    """Return where sessions that were begun by the same words share their vault token."""
    digest = hashlib.md5(f"{words}\n".encode(), usedforsecurity=False).hexdigest()
    return f"/tmp/vt_u{euid}.sh-{digest}"  # noqa: S108 - who reads it looks there


def _full(path: str, environ: Mapping[str, str], euid: int) -> str:
    """Return a path with the user's number and home in it."""
    path = path.replace("%uid", str(euid))
    home = environ.get("HOME")
    if home and (path == "~" or path.startswith("~/")):
        return home + path[1:]
    return os.path.expanduser(path)  # noqa: PTH111 - "~somebody" stays what it is in all else
