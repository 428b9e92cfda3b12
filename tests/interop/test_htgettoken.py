"""The behaviours of htgettoken's own regression tests, driven by the unmodified client.

The number of each is in the test's first line; those with a ticket are in `test_htgettoken_tickets.py`.
Ada is logged in for all tests; whoever needs another state has a home of their own. The client shows
all that it gets, and at the end that is searched for refresh tokens.
"""

from __future__ import annotations

import json
import re
import stat
from typing import TYPE_CHECKING

import pytest

from tests.interop.htgettoken.agent import running_agent
from tests.interop.htgettoken.issuer import ANY_AUDIENCE
from tests.interop.htgettoken.site import BY_DEVICE, GROUP_ROLE, ISSUER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.htgettoken.client import Said, Shell
    from tests.interop.htgettoken.fixtures import MoveIn
    from tests.interop.htgettoken.install import Release
    from tests.interop.htgettoken.site import Site

pytest_plugins = ["tests.interop.htgettoken.fixtures"]

# Installing the client counts towards the first test's time.
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

STORAGE = "https://storage.example"
SILENT = ("--nooidc", "--nokerberos", "--nossh")
BY_KEY = ("--nooidc", "--nokerberos", "--credkey=bob")
DAY = 86400
LEFT = re.compile(r"^  (\d+) seconds remaining$", re.MULTILINE)


def test_a_login_by_browser_gives_a_bearer_token(ada: Shell, htsite: Site) -> None:
    """001: with the code from the terminal; files are the owner's alone; the next read asks nobody."""
    assert ada.claims()["scope"].split()
    for path in (ada.vault_token, ada.bearer_token):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    credkey = ada.folder / ".config/htgettoken" / f"credkey-{ISSUER}-default"
    assert credkey.read_text() == "ada\n"
    assert htsite.grant("ada").refresh_token is not None
    assert ada.run(*SILENT).code == 0


def test_a_client_that_shows_all_it_gets_shows_a_handle(move_in: MoveIn) -> None:
    """In place of the refresh token; it is the client's to send back, and to print."""
    bob = move_in("bob")
    said = bob.log_in("--nokerberos", "--nossh")
    assert said.code == 0, said.all
    handles = re.findall(r'"oauth2_refresh_token": *"([^"]+)"', said.all)
    assert handles
    assert f'"refresh_token": "{handles[0]}"' in said.all


def test_a_registered_ssh_key_gives_a_bearer_token(bob: Shell) -> None:
    """002: without a browser; the new vault token is kept."""
    bob.forget()
    said = bob.run(*BY_KEY)
    assert said.code == 0, said.all
    assert bob.claims()["scope"].split()
    assert bob.vault_token.exists()


def test_a_vault_token_lasts_as_long_as_was_asked(bob: Shell, htsite: Site) -> None:
    """012: a day's does not do where two are wanted, three days' does; what is left becomes less."""
    bob.forget()
    assert bob.run(*BY_KEY, "--vaulttokenttl=1d").code == 0
    days = [bob.token_of_vault()]
    said = bob.run(*BY_KEY, "--vaulttokenttl=3d", "--vaulttokenminttl=2d")
    assert said.code == 0, said.all
    assert 1 * DAY - 60 < _left(said) <= 1 * DAY
    days.append(bob.token_of_vault())
    lefts = [_left(bob.run(*BY_KEY, "--vaulttokenminttl=2d"))]
    htsite.wait(1.5)
    lefts.append(_left(bob.run(*BY_KEY, "--vaulttokenminttl=2d")))
    assert 3 * DAY - 60 < lefts[1] < lefts[0] <= 3 * DAY
    assert days[0] != days[1] == bob.token_of_vault()


def _left(said: Said) -> int:
    found = LEFT.search(said.all)
    assert found, said.all
    return int(found[1])


def test_a_bearer_token_can_be_decoded(ada: Shell) -> None:
    """004: by the client's own command, which needs a JWT."""
    said = ada.type("htdecodetoken", "-a")
    # Where scitokens-verify is installed, it is asked, too; it trusts the system's authorities alone.
    assert said.code == 0 or "SSL peer certificate" in said.all, said.all
    assert json.loads(said.out[said.out.index("}\n{") + 2 :])["sub"] == ada.claims()["sub"]


def test_scopes_asked_for_are_the_tokens_scopes(ada: Shell) -> None:
    """005: exactly, and in that order."""
    asked = "compute.read storage.read:/store"
    said = ada.run(*SILENT, f"--scopes={asked}")
    assert said.code == 0, said.all
    assert ada.claims()["scope"] == asked


def test_audiences_asked_for_are_the_tokens_audiences(ada: Shell) -> None:
    """006: as an array, in that order."""
    said = ada.run(*SILENT, f"--audience={STORAGE} https://compute.example")
    assert said.code == 0, said.all
    assert ada.claims()["aud"] == [STORAGE, "https://compute.example"]
    assert ada.run(*SILENT).code == 0
    assert ada.claims()["aud"] in (ANY_AUDIENCE, [ANY_AUDIENCE])


@pytest.mark.parametrize("narrow", [(), ("--scopes=storage.read:/ compute.read",)])
def test_a_token_is_kept_until_more_seconds_are_asked_for_than_are_left(
    ada: Shell, htsite: Site, narrow: tuple[str, ...]
) -> None:
    """007 and 008: two reads share an end; one that asks for a second more has a later end."""
    ends = [_end_of(ada, *narrow), _end_of(ada, *narrow)]
    assert ends[0] == ends[1]
    htsite.wait(2.5)
    left = int(ends[0] - htsite.now())
    assert _end_of(ada, *narrow, f"--minsecs={left + 1}") > ends[0]


def _end_of(shell: Shell, *more: str) -> int:
    said = shell.run(*SILENT, *more)
    assert said.code == 0, said.all
    return int(shell.claims()["exp"])


def test_another_credkey_of_ones_own_has_a_login_of_its_own(move_in: MoveIn, htsite: Site) -> None:
    """011: a robot below the person's name, which the person's login may put there and read."""
    carol = move_in("carol")
    said = carol.log_in("--nokerberos", "--nossh", "--credkey=carol/cron/host.example")
    assert said.code == 0, said.all
    assert htsite.grant("carol/cron/host.example").subject == htsite.subject("carol")
    said = carol.run(*SILENT, "--credkey=carol/cron/host.example")
    assert said.code == 0, said.all


def test_a_credkey_of_somebody_else_is_out_of_reach(
    ada: Shell, move_in: MoveIn, htsite: Site
) -> None:
    """The other person's login stays what it was, and the client says that it got nothing."""
    before = htsite.grant("ada").generation
    dora = move_in("dora")
    said = dora.log_in("--nokerberos", "--nossh", "--credkey=ada")
    assert said.code == 1, said.all
    assert "permission denied" not in said.all
    assert htsite.grant("ada").generation == before
    assert not dora.bearer_token.exists()
    assert ada.run(*SILENT).code == 0


def test_the_bearer_url_is_shown(ada: Shell, htsite: Site) -> None:
    """013: one line on standard output, the address of the vault server in it."""
    url = f"https://localhost:{htsite.port}/v1/secret/oauth/creds/{ISSUER}/ada:default\n"
    said = ada.run(*SILENT, "--showbearerurl")
    assert (said.code, said.out) == (0, url), said.all


@pytest.mark.parametrize(
    ("person", "role"), [("ada", "default"), ("grouppro", GROUP_ROLE)], ids=["person", "group"]
)
def test_the_subject_stays_through_login_exchange_and_refresh(
    move_in: MoveIn, htsite: Site, person: str, role: str
) -> None:
    """014 and 015: the person's in the default role, the group account's in the group's."""
    shell = move_in(person)
    said = shell.log_in("--nokerberos", "--nossh", "-r", role)
    assert said.code == 0, said.all
    subjects = [shell.claims()["sub"]]
    htsite.wait(3.0)
    for more in ("--scopes=compute.read", "--minsecs=3598"):
        said = shell.run(*SILENT, "-r", role, more)
        assert said.code == 0, said.all
        subjects.append(shell.claims()["sub"])
    assert subjects == [htsite.subject(person)] * 3


def test_an_issuer_without_our_redirect_goes_on_by_its_device_flow(move_in: MoveIn) -> None:
    """The person confirms on the broker's page first, then on the issuer's."""
    bob = move_in("bob")
    said = bob.log_in("--nokerberos", "--nossh", issuer=BY_DEVICE)
    assert said.code == 0, said.all
    assert bob.claims()["scope"].split()


def test_a_link_that_its_starter_hands_on_gives_the_starter_nothing(
    move_in: MoveIn, htsite: Site
) -> None:
    """He confirms himself and stops at the issuer; the other one approves in another browser."""
    dora, carol = move_in("dora"), move_in("carol")
    answers: list[int] = []

    def confirm_and_hand_on(url: str, code: str) -> None:
        own = dora.browse(user_code=code, code=code)
        own.submit(own.see(url))
        link = next(one for one in own.sent_to if one.startswith(htsite.issuer.url))
        other = carol.browse()
        page = other.see(link)
        while page.action is not None:
            page = other.submit(page)
        assert any(one.startswith(htsite.url) for one in other.sent_to)
        answers.append(page.status)

    said = dora.log_in_by(confirm_and_hand_on, "--nokerberos", "--nossh", patience=12.0)
    assert said.code != 0, said.all
    assert answers[0] >= 400
    assert not dora.vault_token.exists()


def test_a_right_that_was_narrowed_to_a_job_is_stored_as_the_storer_does(ada: Shell) -> None:
    """The 28-day token goes to the access point, a child of 7 days stays with the person."""
    urls = ("--showbearerurl", "-q")
    first = ada.log_in(
        "--vaulttokenttl=28d", "--vaulttokeninfile=/nowhere", "--nokerberos", "--nossh",
        "--vaulttokenfile=/dev/stdout", *urls, piped=True,
    )  # fmt: skip
    assert first.code == 0, first.all
    vault_token = next(line for line in first.out.splitlines() if line.startswith("cb_"))
    second = ada.run(
        *SILENT, *urls, "--scopes=compute.read", "--vaulttokeninfile=/dev/stdin", piped=vault_token
    )
    assert second.code == 0, second.all
    assert second.out.splitlines()[-1].endswith(f"/v1/secret/oauth/sts/{ISSUER}/ada:default")
    assert ada.vault_token.read_text().strip() != vault_token


def test_the_clients_own_command_ends_the_login(
    move_in: MoveIn, htsite: Site, release: Release
) -> None:
    """It has been there since 2.5; 2.2 says how it is used, and keeps all."""
    carol = move_in("carol")
    carol.environment["VAULT_TOKEN_FILE"] = str(carol.vault_token)
    role = ("-r", GROUP_ROLE)
    assert carol.log_in("--nokerberos", "--nossh", *role).code == 0
    ended = carol.type("htdestroytoken", "-f", *carol.options(*role))
    grant = htsite.grant("carol", GROUP_ROLE)
    if release.version == "2.2":
        assert (ended.code, grant.is_over, carol.vault_token.exists()) == (2, False, True)
    else:
        assert (ended.code, grant.is_over, carol.vault_token.exists()) == (0, True, False)


@pytest.fixture(scope="module")
def bob(move_in: MoveIn, agent: dict[str, str]) -> Shell:
    """Somebody who registered a key after a login by browser."""
    shell = move_in("bob")
    shell.environment |= agent
    said = shell.log_in("--registerssh", "--credkey=bob")
    assert said.code == 0, said.all
    return shell


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running ssh-agent with one key, as the environment names it."""
    folder = tmp_path_factory.mktemp("agent")
    with running_agent(folder) as named:
        yield named
