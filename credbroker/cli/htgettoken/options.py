"""htgettoken's options: every one of release 2.6, read in its order and with its defaults.

What the option server says counts least, then HTGETTOKENOPTS, then the command line; of two the later
one counts. Programs to run and files are taken from the command line and the environment alone: whoever may
say them could have a file sent elsewhere, or written over.
"""

from __future__ import annotations

import optparse
import shlex
from dataclasses import dataclass
from typing import Callable, List, Mapping, NoReturn, Optional, Sequence, Tuple

from credbroker import __version__
from credbroker.domain.errors import Malformed

PROGRAM = "htgettoken"
RELEASE = "2.6"
VARIABLE = "HTGETTOKENOPTS"
MOST_SECONDS_ON_DISK = 1_000_000
"""A vault token that lasts longer is for another program, so it goes to a pipe alone."""

FetchOptions = Callable[["Options"], str]
"""Returns the text of the option server that the options name."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# Each option's names, what its value is called (None for a flag), its default, and what it does.
TABLE: Tuple[Tuple[Tuple[str, ...], Optional[str], Optional[str], str], ...] = (
    (("-v", "--verbose"), None, None, "say what is done"),
    (("-d", "--debug"), None, None, "say every request, too; no token is ever shown"),
    (("-q", "--quiet"), None, None, "say nothing but how to log in"),
    (("-s", "--optserver"), "HOST_OR_URL", None, "read more options there"),
    (("-a", "--vaultserver"), "HOST_OR_URL", None, "the server (required)"),
    (("--vaultalias",), "HOST_OR_URL", None, "its service name, if it is one of several"),
    (("--vaultcertname",), "HOST", None, "for whom its certificate is, if not for its name"),
    (("-i", "--issuer"), "NAME", "default", "the issuer"),
    (("-r", "--role"), "NAME", "default", "the role"),
    (("--nokerberos",), None, None, "do not log in by Kerberos ticket"),
    (("--kerbpath",), "PATH", "auth/kerberos-%issuer_%role", "where tickets are shown"),
    (("--kerbprincipal",), "NAME", None, "not used: whose tickets are current logs in"),
    (("--nooidc",), None, None, "do not log in by browser"),
    (("--oidcpath",), "PATH", "auth/oidc-%issuer/oidc", "where logins by browser are"),
    (("--nossh",), None, None, "do not log in by ssh key"),
    (("--sshpath",), "PATH", "auth/ssh", "where ssh keys are shown"),
    (("--registerssh",), None, None, "register the ssh-agent's keys after a login by browser"),
    (("--novaulttoken",), None, None, "do not log in at all"),
    (("-c", "--configdir"), "FOLDER", "~/.config/htgettoken", "where credkeys are remembered"),
    (("--credkey",), "NAME", None, "whose login it is (default: as it was learned at a login)"),
    (("--secretpath",), "PATH", "secret/oauth/creds/%issuer/%credkey:%role", "where tokens are read"),
    (("--vaulttokenttl",), "TIME", "7d", "how long a new vault token is to last"),
    (("--vaulttokenminttl",), "TIME", "0s", "how long a kept one must still last"),
    (("--vaulttokenfile",), "FILE", None, "where the vault token is kept (default: /tmp/vt_u%uid)"),
    (("--vaulttokeninfile",), "FILE", "%vaulttokenfile", "where it is read; from /dev, exchanged first"),
    (("--showbearerurl",), None, None, "print the address that tokens are read at"),
    (("--nobearertoken",), None, None, "read no token; get a new vault token alone"),
    (("-o", "--outfile"), "FILE", None, "where the token is put (default: where programs look)"),
    (("--minsecs",), "SECONDS", "60", "how long the token must still live"),
    (("--scopes",), "LIST", None, "fewer scopes"),
    (("--audience",), "LIST", None, "fewer audiences"),
    (("--cafile",), "FILE", None, "certificate authorities (default: the system's)"),
    (("--capath",), "FOLDER", None, "more of them (default: $X509_CERT_DIR, then the grid's)"),
    (("--web-open-command",), "PROGRAM", None, "opens the browser (default: this screen's, if there is one)"),
)  # fmt: skip
_NOT_SERVED = (
    ("--web-open-command", "web_open_command"),
    ("--outfile", "outfile"),
    ("--vaulttokenfile", "vaulttokenfile"),
    ("--vaulttokeninfile", "vaulttokeninfile"),
    ("--configdir", "configdir"),
)


@dataclass(frozen=True)
class Options:
    """What was asked for; times are in seconds, texts as they were typed."""

    verbose: bool
    debug: bool
    quiet: bool
    optserver: Optional[str]
    vaultserver: Optional[str]
    vaultalias: Optional[str]
    vaultcertname: Optional[str]
    issuer: str
    role: str
    nokerberos: bool
    kerbpath: str
    kerbprincipal: Optional[str]
    nooidc: bool
    oidcpath: str
    nossh: bool
    sshpath: str
    registerssh: bool
    novaulttoken: bool
    configdir: str
    credkey: Optional[str]
    secretpath: str
    vaulttokenttl: str
    vaulttokenminttl: str
    vaulttokenfile: Optional[str]
    vaulttokeninfile: str
    showbearerurl: bool
    nobearertoken: bool
    outfile: Optional[str]
    minsecs: int
    scopes: Optional[str]
    audience: Optional[str]
    cafile: Optional[str]
    capath: Optional[str]
    web_open_command: Optional[str]

    @property
    def vault_seconds(self) -> int:
        """How long a new vault token is to last."""
        return _duration(self.vaulttokenttl, "--vaulttokenttl")

    @property
    def least_vault_seconds(self) -> int:
        """How long a kept vault token must still last."""
        return _duration(self.vaulttokenminttl, "--vaulttokenminttl")

    @property
    def tells(self) -> bool:
        """True if every step is to be said."""
        return self.verbose or self.debug

    @property
    def may(self) -> Tuple[bool, bool, bool]:
        """Whether to log in by ticket, by ssh key and by browser."""
        none = self.novaulttoken
        silent = none or self.registerssh
        return (
            not (silent or self.nokerberos),
            not (silent or self.nossh),
            not (none or self.nooidc),
        )

    def filled(self, path: str) -> str:
        """Return a path with issuer and role in it."""
        return path.replace("%issuer", self.issuer).replace("%role", self.role)


def parse(words: Sequence[str], environ: Mapping[str, str], fetch: FetchOptions) -> Options:
    """Return what the command line, HTGETTOKENOPTS and the option server ask for.

    Raises:
        Malformed: An option is not known, lacks its value, or is missing.
        CredbrokerError: What `fetch` raises.
    """
    typed = [*_split(environ.get(VARIABLE, ""), VARIABLE), *words]
    found = _parse(typed)
    if found.optserver is not None:
        found = _parse([*_served(fetch(found)), *typed])
    if found.vaultserver is None:
        raise Malformed("It is not said which server to ask.", "Give it with -a HOST.")
    return found


def parser(*, is_typed: bool = True) -> optparse.OptionParser:
    """Return what reads the options, and if they are typed by a person, says how they are used."""
    made = _Parser(
        prog=PROGRAM,
        usage="usage: %prog [-h] -a HOST [OPTION ...]",
        version=f"{RELEASE} (credbroker {__version__})" if is_typed else None,
        add_help_option=is_typed,
    )
    for names, value, default, said in TABLE:
        if value is None:
            made.add_option(*names, help=said, action="store_true", default=False)
        else:
            kind = "int" if value == "SECONDS" else "string"
            shown = f"{said} (default: {default})" if default else said
            made.add_option(*names, metavar=value, type=kind, default=default, help=shown)
    return made


def named_in(words: Sequence[str], *names: str) -> bool:
    """True if one of the long options `names` is in `words`, also shortened or with its value."""
    return any(
        one.startswith("--") and len(one) > 2 and name.startswith(one.partition("=")[0])
        for one in words
        for name in names
    )


class _Parser(optparse.OptionParser):
    """Says what is wrong by an error, as every part of this program does."""

    def error(self, msg: str) -> NoReturn:
        """Raise `Malformed`."""
        raise Malformed(f"{msg[:1].upper()}{msg[1:]}.", f"See: {PROGRAM} --help")


def _parse(words: Sequence[str], *, is_typed: bool = True) -> Options:
    values, positional = parser(is_typed=is_typed).parse_args(list(words))
    if positional:
        raise Malformed("Only options are expected.", f"See: {PROGRAM} --help")
    return Options(**vars(values))


def _split(text: str, where: str) -> List[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        raise Malformed(
            f"The options in {where} have a quote that does not end.", "Mend them."
        ) from None


def _served(text: str) -> List[str]:
    remedy = "Tell whoever runs it; until then leave -s away."
    try:
        words = _split(text, "it")
        said, usual = _parse(words, is_typed=False), _parse(())
    except Malformed as wrong:
        raise Malformed(f"In the option server's answer: {wrong.sentence}", remedy) from None
    for option, name in _NOT_SERVED:
        if getattr(said, name) not in (None, "", getattr(usual, name)):
            raise Malformed(
                f"The option server names a program to run or a file ({option}); that is not for it to say.",
                remedy,
            )
    return words


def _duration(text: str, option: str) -> int:
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit()) or unit not in _SECONDS:
        raise Malformed(f"{option} is no number with s, m, h or d behind it.", "As in 7d.")
    return int(number) * _SECONDS[unit]
