"""What `credbroker inspect --can` says of a token and a URL is what XRootD itself does."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING

import pytest

from credbroker.__main__ import main
from credbroker.broker.issuing.signing import Statement
from credbroker.cli.exits import REFUSED
from credbroker.demo.private_files import write_private
from credbroker.domain.attenuation import ANY_AUDIENCE
from credbroker.domain.scopes import ScopeSet
from credbroker.host.clock import SystemClock
from tests.fakes.clock import FakeClock
from tests.fakes.signing import URL, SigningWorld
from tests.interop.neighbours.xrootd import XrootdServer, missing_program
from tests.interop.storage_cases import OURS, Case, cases

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.domain.tokens import AccessToken

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(missing_program() is not None, reason=str(missing_program())),
]

METHODS = {"read": "GET", "stat": "HEAD", "create": "PUT", "modify": "PUT"}
KNOWN = (
    "--storage",
    "xrootd-5",
    "--base-path",
    "/dteam",
    "--audience",
    OURS,
    "--audience",
    ANY_AUDIENCE,
)


async def test_the_verdict_is_xrootds_own_in_200_cases(
    authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tokens of all kinds, those that have ended or not begun among them; about half may do it."""
    now = SystemClock().now()
    tried = cases()
    tokens, jwks = await signed(tried, now)
    server = XrootdServer(authority)
    try:
        server.trust(URL, f"{OURS}, {ANY_AUDIENCE}")
        server.know_keys(json.loads(jwks))
        for case in tried:
            if case.exists:
                server.store(case.path, b"there")
        server.start()
        done = {case: may(server, case, tokens[case]) for case in tried}
    finally:
        server.close()
    said = {case: inspected(case, tokens[case], tmp_path) for case in tried}
    assert [case for case in tried if said[case] != done[case]] == [], capsys.readouterr().out
    assert 60 <= sum(done.values()) <= 140


async def signed(
    tried: Iterable[Case], now: datetime.datetime
) -> tuple[dict[Case, AccessToken], bytes]:
    """Return a token for each case, as our issuer signs it at the time of its beginning, and the keys."""
    moments = sorted({(case.starts_in, case.ends_in) for case in tried})
    world = SigningWorld(clock=FakeClock(now + datetime.timedelta(seconds=moments[0][0] + 60)))
    signing = await world.signing()
    tokens = {}
    for starts, ends in moments:
        ahead = (now + datetime.timedelta(seconds=starts + 60) - world.clock.now()).total_seconds()
        world.clock.advance(ahead)
        for case in tried:
            if (case.starts_in, case.ends_in) == (starts, ends):
                tokens[case] = await signing.sign(statement(case, ends - starts - 60))
    return tokens, signing.jwks()


def statement(case: Case, seconds: int) -> Statement:
    """Return what the token of a case is to say."""
    return Statement(
        "somebody", "mover", ScopeSet.parse(" ".join(case.scopes)), case.audiences, seconds
    )


def may(server: XrootdServer, case: Case, token: AccessToken) -> bool:
    """Return whether XRootD let the holder of a token do a deed."""
    body = b"new" if METHODS[case.deed] == "PUT" else None
    answered = server.ask(METHODS[case.deed], case.path, token.value.reveal(), body)
    assert answered.status in {200, 201, 403}, (case, answered)
    return answered.status != 403


def inspected(case: Case, token: AccessToken, folder: Path) -> bool:
    """Return what `credbroker inspect --can` says of that."""
    file = folder / f"token-{case.number}"
    write_private(file, token.value.reveal().encode())
    url = f"{OURS}/dteam{case.path}"
    code = main(["inspect", "--json", *KNOWN, "--can", case.deed, url, str(file)])
    assert code in {0, REFUSED}
    return code == 0
