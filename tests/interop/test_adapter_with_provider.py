"""The broker's own adapter speaks to an issuer nobody here wrote, and reads what its answers prove."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.broker.custody.probing import Probing
from credbroker.broker.running import Deeds, Means
from credbroker.domain.attenuation import Right
from credbroker.domain.device import LoginOver, StillPending
from credbroker.domain.errors import (
    ClientRejected,
    IssuerMisbehaved,
    IssuerRefusedRequest,
    LoginDenied,
    StoreUnavailable,
)
from credbroker.domain.outcomes import Dead, NotActedOn, Renewed, Unclear
from credbroker.domain.rotation import Rule
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.host.http import OutgoingHttp
from credbroker.issuers.oidc import Dialect, OidcIssuer
from tests.fakes.audit import FakeAudit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.interop.person import Person
    from tests.interop.provider_server import ProviderServer

# Installing the issuer counts towards the first test's time.
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

SECONDS = 10.0
ASKED = ScopeSet.parse("openid offline_access storage.read:/ compute.read")
STORAGE = "https://storage.example"
NARROW = Right(ScopeSet.parse("compute.read"), (STORAGE,))


@pytest.fixture
async def door(oidc_provider: ProviderServer) -> AsyncIterator[OutgoingHttp]:
    """The way to the issuer."""
    async with OutgoingHttp(str(oidc_provider.ca_file)) as opened:
        yield opened


def adapter(provider: ProviderServer, door: OutgoingHttp, client_secret: str) -> OidcIssuer:
    """Return the broker's adapter, set up as an operator would for this issuer."""
    dialect = Dialect(
        url=provider.url,
        client_id=provider.client_id,
        client_secret=Secret("client secret", client_secret),
        audience_parameter="resource",
        rule=None,
        seconds=SECONDS,
        refresh_seconds=SECONDS,
    )
    return OidcIssuer(dialect, door, SystemClock())


@pytest.fixture
def issuer(oidc_provider: ProviderServer, door: OutgoingHttp) -> OidcIssuer:
    """The adapter with the right client secret."""
    return adapter(oidc_provider, door, oidc_provider.client_secret_file.read_text())


@pytest.fixture
async def login(issuer: OidcIssuer, person: Person) -> Renewed:
    """What a finished device login gave."""
    started = await issuer.start_device_login(ASKED)
    assert started.verification_uri_complete is not None
    await person.log_in(started.verification_uri_complete)
    outcome = await issuer.poll_device_login(started.device_code)
    assert isinstance(outcome, Renewed)
    return outcome


@pytest.fixture
def refresh_token(login: Renewed) -> Secret:
    """The refresh token of a finished device login, not used so far."""
    assert login.refresh_token is not None
    return login.refresh_token


async def at_once() -> None:
    """Be a claim that is stored already."""


async def works(issuer: OidcIssuer, refresh_token: Secret) -> bool:
    """Use a refresh token up; return whether it was good."""
    return isinstance(
        await issuer.refresh(refresh_token, NARROW, at_once, seconds=SECONDS), Renewed
    )


async def test_a_login_waits_for_its_person(issuer: OidcIssuer) -> None:
    """Until then it is pending, and polled at the pace that counts where none is named."""
    started = await issuer.start_device_login(ASKED)
    assert started.interval_seconds == 5.0
    assert await issuer.poll_device_login(started.device_code) == StillPending()


async def test_a_login_tells_who_it_was(issuer: OidcIssuer, login: Renewed) -> None:
    """The ID token's signature and claims hold, and it names the person."""
    assert login.id_token is not None
    claims = await issuer.verify_identity(login.id_token)
    assert (claims["iss"], claims["sub"]) == (issuer.url, "alice")


async def test_an_access_token_is_no_proof_of_who_it_was(
    issuer: OidcIssuer, login: Renewed
) -> None:
    """It is signed by the same issuer, and for somebody else."""
    with pytest.raises(IssuerMisbehaved, match="for somebody else"):
        await issuer.verify_identity(login.access_token)


async def test_a_person_who_refuses_ends_the_login(issuer: OidcIssuer, person: Person) -> None:
    """The next poll says so."""
    started = await issuer.start_device_login(ASKED)
    assert started.verification_uri_complete is not None
    await person.refuse(started.verification_uri_complete)
    outcome = await issuer.poll_device_login(started.device_code)
    assert isinstance(outcome, LoginOver)
    assert isinstance(outcome.error, LoginDenied)


async def test_a_refresh_gives_exactly_the_right_that_was_asked(
    issuer: OidcIssuer, refresh_token: Secret
) -> None:
    """The access token verifies; scope and audience are as asked, and a successor came along."""
    outcome = await issuer.refresh(refresh_token, NARROW, at_once, seconds=SECONDS)
    assert isinstance(outcome, Renewed)
    assert outcome.refresh_token not in {None, refresh_token}
    token = await issuer.verify_access_token(outcome.access_token)
    assert (token.scopes, token.audiences) == (NARROW.scopes, NARROW.audiences)
    assert (token.issuer_url, token.subject) == (issuer.url, "alice")


async def test_the_claim_comes_before_the_issuer_sees_anything(
    issuer: OidcIssuer, oidc_provider: ProviderServer, refresh_token: Secret
) -> None:
    """When the claim is stored the refresh is not in the issuer's log; afterwards it is, once."""
    before = len(oidc_provider.refreshes())
    at_the_claim: list[int] = []

    async def claim() -> None:
        at_the_claim.append(len(oidc_provider.refreshes()))

    await issuer.refresh(refresh_token, NARROW, claim, seconds=SECONDS)
    assert at_the_claim == [before]
    assert len(oidc_provider.refreshes()) == before + 1


async def test_a_claim_that_fails_keeps_the_refresh_token_unused(
    issuer: OidcIssuer, oidc_provider: ProviderServer, refresh_token: Secret
) -> None:
    """The error passes through, nothing was posted, and the token works afterwards."""
    before = oidc_provider.refreshes()

    async def claim() -> None:
        raise StoreUnavailable("OpenBao/Vault does not answer.")

    with pytest.raises(StoreUnavailable):
        await issuer.refresh(refresh_token, NARROW, claim, seconds=SECONDS)
    assert oidc_provider.refreshes() == before
    assert await works(issuer, refresh_token)


async def test_a_refused_scope_is_known_to_use_nothing_up(
    issuer: OidcIssuer, refresh_token: Secret
) -> None:
    """This issuer takes scopes by the letter, so a path below a granted one is refused."""
    below = Right(ScopeSet.parse("storage.read:/user"), (STORAGE,))
    outcome = await issuer.refresh(refresh_token, below, at_once, seconds=SECONDS)
    assert isinstance(outcome, NotActedOn)
    assert isinstance(outcome.error, IssuerRefusedRequest)
    assert await works(issuer, refresh_token)


async def test_a_wrong_client_secret_is_known_to_use_nothing_up(
    issuer: OidcIssuer, oidc_provider: ProviderServer, door: OutgoingHttp, refresh_token: Secret
) -> None:
    """The operator's slip is named as such, and the token works with the right secret."""
    outcome = await adapter(oidc_provider, door, "wrong").refresh(
        refresh_token, NARROW, at_once, seconds=SECONDS
    )
    assert isinstance(outcome, NotActedOn)
    assert isinstance(outcome.error, ClientRejected)
    assert await works(issuer, refresh_token)


async def test_a_refused_audience_proves_nothing(
    issuer: OidcIssuer, oidc_provider: ProviderServer, refresh_token: Secret
) -> None:
    """And rightly so: this issuer uses the refresh token up before it looks at the audience."""
    elsewhere = Right(NARROW.scopes, ("https://elsewhere.example",))
    assert isinstance(
        await issuer.refresh(refresh_token, elsewhere, at_once, seconds=SECONDS), Unclear
    )
    assert "invalid_target" in oidc_provider.requests()[-1]
    assert not await works(issuer, refresh_token)


async def test_a_used_refresh_token_is_dead(issuer: OidcIssuer, refresh_token: Secret) -> None:
    """Only a login helps then."""
    assert await works(issuer, refresh_token)
    assert isinstance(await issuer.refresh(refresh_token, NARROW, at_once, seconds=SECONDS), Dead)


async def test_a_revoked_refresh_token_is_dead(issuer: OidcIssuer, refresh_token: Secret) -> None:
    """Revoking it a second time is no error (RFC 7009 section 2.2)."""
    await issuer.revoke(refresh_token)
    await issuer.revoke(refresh_token)
    assert isinstance(await issuer.refresh(refresh_token, NARROW, at_once, seconds=SECONDS), Dead)


async def test_the_issuer_passes_the_probe_and_a_wrong_secret_does_not(
    issuer: OidcIssuer, oidc_provider: ProviderServer, door: OutgoingHttp, refresh_token: Secret
) -> None:
    """A refresh token that nobody gave out is refused there, and no grant is touched by it."""
    await issuer.probe()
    with pytest.raises(ClientRejected):
        await adapter(oidc_provider, door, "wrong").probe()
    assert await works(issuer, refresh_token)


async def test_a_measurement_finds_that_a_replay_revokes_more_here(
    issuer: OidcIssuer, refresh_token: Secret
) -> None:
    """The successor dies with the old value, so nobody's refresh is ever retried at this issuer."""
    clock = SystemClock()
    means = Means(FakeAudit(), clock, SystemEntropy(), Deeds(clock))
    found = await Probing(issuer, means).measure(refresh_token, NARROW)
    assert (found.rule, found.rotates, found.kept) == (Rule(), True, None)
