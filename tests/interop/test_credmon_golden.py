"""HTCondor's vault credmon goes over to the broker and back with its old files, and loses none.

- The old HTVault is a real OpenBao with its tokens' policy and a version 1 store at `secret/oauth`.
- A move is what it is at a site: the same name, another server behind it. Nothing else is changed.
- What lies in a `.use` file is watched all the time by a reader of its own, as a job would read it.
"""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from credbroker.host.clock import SystemClock
from tests.fixtures_openbao import running_copy
from tests.interop.credmon import PORT, Credmon, ReadFailedError
from tests.interop.htgettoken.client import Shell
from tests.interop.htgettoken.site import ISSUER, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer

pytest_plugins = ["tests.interop.htgettoken.fixtures"]
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

PEOPLE = [f"user{number:03}" for number in range(200)]
SECRETS = f"/v1/secret/oauth/creds/{ISSUER}"
POLICY = 'path "secret/oauth/*" { capabilities = ["read", "delete"] }'


@dataclass(frozen=True)
class OldVault:
    """The HTVault that served the site's people before.

    Attributes:
        server: The running server.
        vault_tokens: Each person's vault token there.
    """

    server: OpenBaoServer
    vault_tokens: dict[str, str]

    @property
    def port(self) -> int:
        """Where it listens."""
        return urlsplit(self.server.address).port or 0


@pytest.fixture(scope="module")
def old(
    tmp_path_factory: pytest.TempPathFactory, openbao_bake: Path, authority: Authority
) -> Iterator[OldVault]:
    """An old server where two hundred people have logged in."""
    with running_copy(openbao_bake, tmp_path_factory, authority) as server:
        admin = server.admin_client()
        admin.sys.enable_secrets_engine("kv", path="secret/oauth", options={"version": "1"})
        admin.sys.create_or_update_policy("people", POLICY)
        ends = SystemClock().now().timestamp() + 3600
        for person in PEOPLE:
            kept = {"access_token": access_token(person, ends), "server": ISSUER, "type": "Bearer"}
            where = f"secret/oauth/creds/{ISSUER}/{person}:default"
            admin.write_data(where, data=kept)
        given = {one: admin.auth.token.create(policies=["people"], ttl="28d") for one in PEOPLE}
        yield OldVault(server, {one: made["auth"]["client_token"] for one, made in given.items()})


@pytest.fixture(scope="module")
def moved(
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    shared_openbao: OpenBaoServer,
    old: OldVault,
) -> Iterator[Site]:
    """The site's broker, which knows where people were served before."""
    folder = tmp_path_factory.mktemp("moved")
    legacy = {"url": old.server.address, "until": "2999-12-31", "ca_file": str(authority.ca_file)}
    site = Site(folder, authority, shared_openbao, issuer={"legacy": legacy})
    try:
        site.start()
        yield site
    finally:
        site.close()


@pytest.fixture
def credmon(tmp_path: Path, old: OldVault, authority: Authority) -> Credmon:
    """An access point with two hundred old `.top` files; everybody's token is there."""
    for person, vault_token in old.vault_tokens.items():
        (tmp_path / person).mkdir()
        url = f"https://localhost:{PORT}{SECRETS}/{person}:default"
        top = {"vault_token": vault_token, "vault_url": url}
        (tmp_path / person / f"{ISSUER}.top").write_text(json.dumps(top))
    credmon = Credmon(tmp_path, authority.ca_file, old.port)
    assert credmon.scan() == len(PEOPLE)
    return credmon


def test_two_hundred_old_files_go_over_and_back(
    credmon: Credmon, old: OldVault, moved: Site
) -> None:
    """Every read is answered on either side; each `.use` is valid throughout; nothing is deleted."""
    with watched(credmon) as spoiled:
        for port in (moved.port, moved.port, old.port):
            credmon.port = port
            assert credmon.scan() == len(PEOPLE), credmon.complaints[:3]
    assert (spoiled, credmon.deleted, credmon.complaints) == ([], [], [])


def test_what_the_old_server_refuses_for_a_moment_is_deleted_by_nobody(
    credmon: Credmon, old: OldVault, moved: Site
) -> None:
    """One refusal may be a slip of its standby; the words that delete are not passed on at once."""
    admin = old.server.admin_client()
    credmon.port = moved.port
    assert credmon.scan() == len(PEOPLE)
    admin.sys.create_or_update_policy("people", 'path "secret/none" { capabilities = ["read"] }')
    try:
        with watched(credmon) as spoiled:
            assert credmon.scan() == 0
    finally:
        admin.sys.create_or_update_policy("people", POLICY)
    assert (spoiled, credmon.deleted) == ([], [])
    assert not [one for one in credmon.complaints if "permission denied" in one]
    assert credmon.scan() == len(PEOPLE)


def test_an_old_server_that_is_down_deletes_nothing(
    credmon: Credmon, moved: Site, old: OldVault
) -> None:
    """The broker says so in words, and reads succeed again when it is back."""
    old.server.stop()
    try:
        credmon.port = moved.port
        person = PEOPLE[0]
        with pytest.raises(ReadFailedError, match="Service Unavailable"):
            credmon.read(url_of(person), old.vault_tokens[person])
    finally:
        old.server.start()
    assert credmon.scan() == len(PEOPLE), credmon.complaints[:3]
    assert credmon.deleted == []


def test_a_login_at_the_broker_serves_a_whole_and_a_narrowed_file(
    tmp_path: Path, authority: Authority, moved: Site, htgettoken: Path
) -> None:
    """The parent's vault token serves the child; only the end of the lease deletes the two."""
    ada = Shell(moved, "ada", htgettoken)
    said = ada.log_in("--nokerberos", "--nossh")
    assert said.code == 0, said.all
    vault_token = ada.token_of_vault()
    home = tmp_path / "ada"
    home.mkdir()
    whole = {"vault_token": vault_token, "vault_url": url_of("ada")}
    narrow = {"vault_url": url_of("ada", "sts"), "scopes": "compute.read", "audience": "https://a"}
    (home / "one.top").write_text(json.dumps(whole))
    (home / "one_low.top").write_text(json.dumps(narrow))
    credmon = Credmon(tmp_path, authority.ca_file, moved.port)
    assert credmon.scan() == 2, credmon.complaints
    claims = claims_of(home / "one_low.use")
    assert (claims["scope"], claims["aud"]) == ("compute.read", "https://a")
    assert "storage.read:/" in str(claims_of(home / "one.use")["scope"])

    assert moved.ask("POST", "/v1/auth/token/revoke-self", vault_token) == 204
    assert credmon.scan() == 0
    assert sorted({path.name for path in credmon.deleted}) == [
        "one.top", "one.use", "one_low.top", "one_low.use",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"{SECRETS}/user001:default?minimum_seconds=2400", 200),
        (f"{SECRETS}/user001:default?minimum_seconds=2400&scopes=storage.read%3A%2F", 200),
        (f"{SECRETS}/nobody:default?minimum_seconds=2400", 404),
        ("/v1/secret/oauth/creds/unheard/user001:default?minimum_seconds=2400", 403),
    ],
)
def test_the_recorded_requests_are_answered_as_recorded(
    credmon: Credmon, old: OldVault, moved: Site, target: str, status: int
) -> None:
    """Status and form are those of the old server; an error is a list of texts."""
    credmon.port = moved.port
    answered, body = credmon.send(target, old.vault_tokens["user001"])
    assert answered == status, body
    answer = json.loads(body)
    if status == 200:
        assert answer["data"]["access_token"].count(".") == 2
    else:
        assert all(isinstance(one, str) for one in answer["errors"])
        assert b"permission denied" not in body


def url_of(person: str, kind: str = "creds") -> str:
    """Return the address in a `.top` file."""
    return f"https://localhost:{PORT}/v1/secret/oauth/{kind}/{ISSUER}/{person}:default"


def access_token(person: str, ends: float) -> str:
    """Return a token as an old server has it."""
    parts = ({"alg": "none"}, {"sub": person, "exp": int(ends)})
    return ".".join([*(_part(json.dumps(one).encode()) for one in parts), _part(b"signature")])


def claims_of(use: Path) -> dict[str, object]:
    """Return what the token in a `.use` file says."""
    part = use.read_text().split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@contextmanager
def watched(credmon: Credmon) -> Iterator[list[str]]:
    """Read every `.use` file over and over meanwhile; the list names those that were not valid."""
    spoiled: list[str] = []
    over = threading.Event()
    now = SystemClock().now().timestamp()
    files = [credmon.folder / person / f"{ISSUER}.use" for person in PEOPLE]

    def look() -> None:
        while not over.wait(0.01):
            spoiled.extend(str(one) for one in files if not _is_valid(one, now))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        yield spoiled
    finally:
        over.set()
        reader.join()


def _is_valid(use: Path, now: float) -> bool:
    try:
        return int(str(claims_of(use)["exp"])) > now
    except (OSError, ValueError, IndexError):
        return False
