"""`credbroker inspect`: says in words what a token is good for, and what a storage would answer to it.

The token is read from a file, from standard input, or from where programs look for it; never from the
command line, where everybody on the machine could read it. Whether its signature is the issuer's is asked
of the broker of a login at that issuer, or of the issuer itself where that is a broker with a login here;
nobody else is shown the token. The exit code is 5 if the token is of no use, or if a storage would refuse
what was asked about with `--can`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple

from credbroker.cli.choice import add_ca_argument, choose_ca_file, readable_logins
from credbroker.cli.desk import at_minute, plain, system_desk
from credbroker.cli.durations import spoken
from credbroker.cli.exits import REFUSED
from credbroker.delivery import discovery
from credbroker.domain.errors import (
    CredbrokerError,
    IssuerMisbehaved,
    LocalFileUnfit,
    LoginNeeded,
    Malformed,
)
from credbroker.domain.secret import Secret
from credbroker.domain.storage_verdict import (
    DEEDS,
    Dialect,
    Storage,
    Verdict,
    meaning,
    storage_at,
    verdict,
)
from credbroker.domain.tokens import check_times
from credbroker.wire.fields import write_instant
from credbroker.wire.jwt import read_access_token

if TYPE_CHECKING:
    import argparse
    import datetime

    from credbroker.cli.desk import Desk
    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.domain.tokens import AccessToken

EXAMPLE = """\
example:
  credbroker inspect
  credbroker inspect --can read https://se.example.org/cms/store/f --can write davs://se.example.org/cms/out
"""

_VERIFIED, _NOT_VERIFIED = "verified", "not verified"
_LONGEST = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """What a storage would say to one deed at one URL, and which names it was taken to go by."""

    deed: str
    url: str
    storage: Storage
    verdict: Verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker inspect`."""
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="the token's file; - reads standard input (default: where programs look for it)",
    )
    parser.add_argument(
        "--can",
        metavar=("DEED", "URL"),
        nargs=2,
        action="append",
        default=[],
        help=f"would a storage allow it: {', '.join(DEEDS)}; repeat it",
    )
    parser.add_argument(
        "--audience",
        metavar="A",
        action="append",
        help="a name the storage goes by; repeat it (default: taken from the URL)",
    )
    parser.add_argument(
        "--base-path", metavar="P", default="/", help="where the issuer's area is in its URLs"
    )
    parser.add_argument(
        "--storage",
        choices=[one.value for one in Dialect],
        default=Dialect.PROFILE.value,
        help="how the storage reads tokens (default: profile)",
    )
    add_ca_argument(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Print what the token says and what it is good for; raise what went wrong."""
    desk = desk or system_desk()
    _check_deeds([deed for deed, _ in args.can])
    value, place = _value(args.file, desk)
    now = desk.clock.now()
    try:
        token = read_access_token(value, now)
    except Malformed as unfit:
        return _of_no_use(unfit, place, desk, as_json=args.json)
    answers = [_answer(token, deed, url, args, now) for deed, url in args.can]
    signature = _signature(token, choose_ca_file(args, desk.environ), desk)
    trouble = _trouble(token, now) or ("" if signature.is_fit else signature.why)
    if args.json:
        desk.answer(json.dumps(_as_fields(token, place, signature, trouble, answers)))
    else:
        _print(token, place, signature, desk)
        if trouble:
            desk.answer(f"\n{plain(trouble)}")
        _print_answers(answers, desk)
    is_refused = bool(trouble) or not all(one.verdict.allowed for one in answers)
    return REFUSED if is_refused else 0


def _value(named: Optional[str], desk: Desk) -> Tuple[Secret, str]:
    """Return the token and the place it is from; raise `LoginNeeded` or `LocalFileUnfit`."""
    if named is None:
        found = discovery.find(desk.environ, desk.euid)
        if found is None:
            raise LoginNeeded("There is no token here.", "Get one with: credbroker token")
        return found.value, found.place
    if named == "-":
        text = desk.inp.read(_LONGEST).strip() if desk.inp is not None else ""
        return Secret("access token", text), "standard input"
    if named.count(".") == 2 and named.startswith("ey"):
        # It is on the command line already; saying it again would put it into logs as well.
        raise Malformed(
            "This looks like a token: everybody on this machine can read a command line.",
            "Give it on standard input: credbroker inspect -",
        )
    value = discovery.read_file(Path(named))
    if value is None:
        raise LocalFileUnfit(f"{named} is not there, or empty.", "Name the file of a token.")
    return value, named


def _check_deeds(named: List[str]) -> None:
    """Raise `Malformed` for what is no deed, before anybody is shown anything."""
    for deed in named:
        if deed not in DEEDS:
            raise Malformed(f"There is no deed {deed[:32]!r}.", f"Say one of {', '.join(DEEDS)}.")


def _answer(
    token: AccessToken, deed: str, url: str, args: argparse.Namespace, now: datetime.datetime
) -> Answer:
    dialect = Dialect(args.storage)
    audiences = tuple(args.audience) if args.audience else storage_at(url).audiences
    storage = Storage(audiences, base_path=args.base_path, dialect=dialect)
    return Answer(deed, url, storage, verdict(token, deed, url, storage, now))


@dataclass(frozen=True)
class _Signature:
    """What is known of a token's signature; `is_fit` unless it is known not to be the issuer's."""

    word: str
    why: str
    is_fit: bool = True


def _signature(token: AccessToken, ca_file: Optional[str], desk: Desk) -> _Signature:
    login = _login_for(token.issuer_url, desk)
    if login is None:
        return _Signature(_NOT_VERIFIED, "There is no login here at its issuer.")
    try:
        told = desk.broker_of(login, ca_file).inspect(token.value)
    except CredbrokerError as error:
        return _Signature(_NOT_VERIFIED, error.sentence)
    return _Signature(_VERIFIED if told.verified else _NOT_VERIFIED, told.why, told.verified)


def _login_for(issuer_url: str, desk: Desk) -> Optional[LeaseFile]:
    """Return a login whose broker may see a token of this issuer: it has such tokens, or signs them."""
    for _, login in readable_logins(desk.environ):
        if issuer_url == login.issuer_url or issuer_url.startswith(login.broker.rstrip("/") + "/"):
            return login
    return None


def _trouble(token: AccessToken, now: datetime.datetime) -> str:
    """Return why nobody will take the token now; empty if it is in its time."""
    try:
        check_times(token, now)
    except IssuerMisbehaved as unfit:
        return unfit.sentence
    return ""


def _of_no_use(unfit: Malformed, place: str, desk: Desk, *, as_json: bool) -> int:
    if as_json:
        desk.answer(json.dumps({"place": place, "trouble": unfit.sentence}))
    else:
        desk.answer(f"Found in {plain(place)}. No service takes it. {plain(unfit.sentence)}")
    return REFUSED


def _print(token: AccessToken, place: str, signature: _Signature, desk: Desk) -> None:
    left = token.seconds_left(desk.clock.now())
    rows = [
        ("token", token.jti),
        ("found in", place),
        ("issuer", token.issuer_url),
        ("subject", token.subject),
        ("for", " ".join(token.audiences) or "nobody"),
        ("valid", f"until {at_minute(token.expires_at)}, {spoken(left) if left > 0 else 'over'}"),
        ("signature", f"{signature.word}: {signature.why}"),
        *(("group", group) for group in token.groups),
        *(("scope", f"{item}\n{meaning(item)}") for item in token.scopes),
    ]
    for name, said in rows:
        first, *more = said.split("\n")
        desk.answer(f"{name:<11}{plain(first)}")
        for line in more:
            desk.answer(f"{'':<13}{plain(line)}")


def _print_answers(answers: List[Answer], desk: Desk) -> None:
    for one in answers:
        word = "yes" if one.verdict.allowed else "no"
        names = " or ".join(one.storage.audiences)
        desk.answer(f"\n{one.deed} {plain(one.url)}: {word}")
        desk.answer(f"  {plain(one.verdict.why)}")
        if one.verdict.remedy:
            desk.answer(f"  {plain(one.verdict.remedy)}")
        desk.answer(f"  (a storage that goes by {plain(names)})")


def _as_fields(
    token: AccessToken, place: str, signature: _Signature, trouble: str, answers: List[Answer]
) -> dict[str, object]:
    return {
        "place": place,
        "jti": token.jti,
        "issuer": token.issuer_url,
        "subject": token.subject,
        "audience": list(token.audiences),
        "scope": str(token.scopes),
        "groups": list(token.groups),
        "scopes": [{"scope": str(item), "meaning": meaning(item)} for item in token.scopes],
        "not_before": write_instant(token.not_before),
        "expires_at": write_instant(token.expires_at),
        "signature": signature.word,
        "signature_why": signature.why,
        "trouble": trouble or None,
        "can": [
            {
                "deed": one.deed,
                "url": one.url,
                "audiences": list(one.storage.audiences),
                "allowed": one.verdict.allowed,
                "why": one.verdict.why,
                "remedy": one.verdict.remedy or None,
            }
            for one in answers
        ],
    }
