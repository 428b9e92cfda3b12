"""Whatever is sent to HTVault's paths: no failure of ours, no secret in an answer, no other's login.

- Ada asks with a good vault token; Bob, whose login nobody but him may reach, is logged in as well.
- Requests are written to the connection as they are, so no client straightens out their paths.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from credbroker.wire import native
from tests.interop.htgettoken.site import ISSUER, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer
    from credbroker.domain.grants import GrantState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

MOST_BYTES = 64 * 1024
UNKNOWN_LEASE = "hvs.CAESIJ-of-another-server"
TRICKS = [
    "*", "+", "b*", "+/bob", "..", ".", "%2e%2e", "%2f", "%2F..%2Fbob", "ada/../bob", "ada%2f..%2fbob",
    "ada/%2e%2e/bob", "%62ob", "bob%00", "ada%00/bob", "bob", "BOB", " bob", "bob%20", "ada:default/bob",
    "bob:default%3Aada", "ada;bob", "ada,bob", "ada%0d%0aX-Vault-Token:%20x", "{{identity.entity.name}}",
    "%ff%fe", "%c0%ae%c0%ae", "%25", "%", "%zz", "a" * 4000, "\u202ebob", "ä", "$(id)", "'\"<script>",
    "permission denied",
]  # fmt: skip
POSTS = [
    f"/v1/auth/oidc-{ISSUER}/oidc/auth_url",
    f"/v1/auth/oidc-{ISSUER}/oidc/poll",
    f"/v1/auth/kerberos-{ISSUER}_default/login",
    "/v1/auth/ssh/login",
    "/v1/auth/ssh/role/ada",
    "/v1/auth/token/create",
    f"/v1/secret/oauth/creds/{ISSUER}/ada:default",
]
TEMPLATES = [
    ("POST", "/v1/auth/oidc-{issuer}/oidc/auth_url"),
    ("POST", "/v1/auth/oidc-{issuer}/oidc/poll"),
    ("GET", "/v1/auth/oidc-{issuer}/oidc/callback"),
    ("POST", "/v1/auth/kerberos-{issuer}_{role}/login"),
    ("GET", "/v1/auth/ssh/nonce"),
    ("POST", "/v1/auth/ssh/login"),
    ("POST", "/v1/auth/ssh/role/{credkey}"),
    ("GET", "/v1/auth/ssh/role/{credkey}"),
    ("POST", "/v1/auth/token/create"),
    ("GET", "/v1/auth/token/lookup-self"),
    ("POST", "/v1/auth/token/renew-self"),
    ("GET", "/v1/secret/oauth/creds/{issuer}/{credkey}:{role}"),
    ("GET", "/v1/secret/oauth/sts/{issuer}/{credkey}:{role}"),
    ("POST", "/v1/secret/oauth/creds/{issuer}/{credkey}:{role}"),
    ("DELETE", "/v1/secret/oauth/creds/{issuer}/{credkey}:{role}"),
    ("GET", "/v1/{credkey}"),
    ("GET", "/v1/sys/health"),
    ("GET", "/login/{credkey}"),
    ("POST", "/login/{credkey}"),
    ("GET", "/htgettokenopts.txt"),
]
FIELDS = (
    "role", "client_nonce", "redirect_uri", "state", "ttl", "policies", "server", "refresh_token",
    "public_key", "public_keys", "nonce", "signature", "metadata", "user_code", "csrf",
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """An answer."""

    status: int
    body: bytes
    kind: str

    def data(self) -> dict[str, Any]:
        """Return what it holds, which is JSON."""
        return dict(json.loads(self.body))


@dataclass(frozen=True)
class Fuzzed:
    """A site with two people.

    Attributes:
        site: The running site.
        ada: The vault token of the one who asks.
        bob: The vault token of the one nobody else may reach.
    """

    site: Site
    ada: str
    bob: str

    def send(self, method: str, target: str, vault_token: str = "", body: bytes = b"") -> Seen:
        """Send a request as it is; the target is ASCII without white space."""
        trust = ssl.create_default_context(cafile=str(self.site.ca_file))
        there = http.client.HTTPSConnection("127.0.0.1", self.site.port, timeout=15, context=trust)
        try:
            there.putrequest(method, target)
            if vault_token:
                there.putheader("X-Vault-Token", vault_token)
            there.putheader("Content-Length", str(len(body)))
            there.endheaders(body or None)
            answer = there.getresponse()
            return Seen(answer.status, answer.read(), answer.headers.get_content_type())
        finally:
            there.close()

    def secrets(self) -> list[str]:
        """Return what may be in no answer to Ada."""
        client_secret = self.site.issuer.client_secret_file.read_text()
        return [client_secret, self.bob, UNKNOWN_LEASE, *self.site.issuer.refresh_tokens]


@pytest.fixture(scope="module")
def fuzzed(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, shared_openbao: OpenBaoServer
) -> Iterator[Fuzzed]:
    """A site that does not count what its one address asks, with two people logged in."""
    shared = {"shared_hosts": ["127.0.0.1"]}
    site = Site(tmp_path_factory.mktemp("fuzzed"), authority, shared_openbao, htvault=shared)
    try:
        site.start()
        yield Fuzzed(site, log_in(site, "ada"), log_in(site, "bob"))
    finally:
        site.close()


def log_in(site: Site, person: str) -> str:
    """Take somebody through a device login of our own; return the lease token."""
    nobody = Fuzzed(site, "", "")
    begun = nobody.send("POST", native.LOGINS, body=json.dumps({"issuer": ISSUER}).encode()).data()
    site.issuer.change(lambda dev: dev.approve(begun["user_code"], person))
    lease = str(begun["login_token"])
    trust = ssl.create_default_context(cafile=str(site.ca_file))
    there = http.client.HTTPSConnection("127.0.0.1", site.port, timeout=15, context=trust)
    there.request("POST", native.LOGIN_POLL, headers={"Authorization": f"Bearer {lease}"})
    with there.getresponse() as answer:
        assert json.loads(answer.read())["done"]
    there.close()
    return lease


def written(text: str) -> str:
    """Return a text as it may stand in a request line; tricks with `%` stay what they are."""
    return quote(text, safe="/%:*+;,=@!$'()~&?")


names = st.sampled_from([*TRICKS, "ada", ISSUER, "default"]) | st.text(max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=60) | st.sampled_from(TRICKS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
bodies = st.one_of(
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=6).map(
        lambda one: json.dumps(one).encode()
    ),
    values.map(lambda one: json.dumps(one).encode()),
    st.binary(max_size=200),
)
queries = st.dictionaries(
    st.sampled_from(
        ["minimum_seconds", "scopes", "audiences", "audience", "state", "code", "error"]
    ),
    names | st.integers().map(str),
    max_size=3,
)


@st.composite
def targets(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a method and a path with whatever in it."""
    method, template = draw(st.sampled_from(TEMPLATES))
    slots = {
        "issuer": draw(st.just(ISSUER) | names),
        "credkey": draw(names),
        "role": draw(st.just("default") | names),
    }
    path = "/".join(written(part) for part in template.format(**slots).split("/"))
    query = "&".join(f"{name}={quote(value)}" for name, value in draw(queries).items())
    return method, f"{path}?{query}" if query else path


@settings(max_examples=250)
@given(asked=targets(), body=bodies, whose=st.sampled_from(["ada", "", "unknown", "odd"]))
def test_whatever_is_asked_is_answered_in_order(
    fuzzed: Fuzzed, asked: tuple[str, str], body: bytes, whose: str
) -> None:
    """Never as a failure of ours, never with a secret, never with another's token."""
    method, target = asked
    own = unquote(target.partition("?")[0]).endswith(f"/{ISSUER}/ada:default")
    assume(not (method == "DELETE" and own))
    shown = {"ada": fuzzed.ada, "": "", "unknown": UNKNOWN_LEASE, "odd": "cb_\xe4*"}[whose]
    seen = fuzzed.send(method, target, shown, body if method == "POST" else b"")
    check(fuzzed, seen)
    if target.startswith("/v1/") and seen.status >= 400 and seen.kind == "application/json":
        assert all(isinstance(one, str) for one in seen.data()["errors"]), seen


def check(fuzzed: Fuzzed, seen: Seen) -> None:
    """Look at one answer."""
    assert seen.status < 500, seen
    assert not 300 <= seen.status < 400, seen  # no client of an HTVault would follow
    assert b"Traceback" not in seen.body
    assert b"credbroker/" not in seen.body
    assert [one for one in fuzzed.secrets() if one.encode() in seen.body] == []
    if seen.kind == "application/json":
        assert b"permission denied" not in seen.body.lower()
        held = (seen.data().get("data") or {}).get("access_token")
        assert held is None or subject_of(held) == fuzzed.site.subject("ada")


def subject_of(access_token: str) -> str:
    """Return whose token it is."""
    part = access_token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["sub"])


@pytest.mark.parametrize("kind", ["creds", "sts"])
@pytest.mark.parametrize("slot", ["issuer", "credkey", "role"])
def test_no_trick_in_a_path_reaches_another_login(fuzzed: Fuzzed, slot: str, kind: str) -> None:
    """Reading, deleting and storing under odd names ends in words, and Bob's login is untouched."""
    before = login_of(fuzzed, "bob")
    for trick in TRICKS:
        at = {"issuer": ISSUER, "credkey": "bob", "role": "default", slot: written(trick)}
        target = "/v1/secret/oauth/{kind}/{issuer}/{credkey}:{role}".format(kind=kind, **at)
        for method, body in (("GET", b""), ("DELETE", b""), ("POST", b'{"server":"x"}')):
            seen = fuzzed.send(method, target, fuzzed.ada, body)
            check(fuzzed, seen)
            assert seen.status >= 400 or method == "DELETE", (method, target, seen)
    assert login_of(fuzzed, "bob") == before
    whole = f"/v1/secret/oauth/creds/{ISSUER}/ada:default"
    assert fuzzed.send("GET", whole, fuzzed.ada).status == 200


def login_of(fuzzed: Fuzzed, person: str) -> tuple[str, str, GrantState, int]:
    """Return whose login it is, how it is, and what Bob's own vault token reads there."""
    whole = f"/v1/secret/oauth/creds/{ISSUER}/{person}:default"
    grant = fuzzed.site.grant(person)
    return grant.line, grant.subject, grant.state, fuzzed.send("GET", whole, fuzzed.bob).status


@pytest.mark.parametrize("path", POSTS)
def test_a_body_over_64_kib_is_refused(fuzzed: Fuzzed, path: str) -> None:
    """On every path that takes one; what is refused is said in Vault's form."""
    body = json.dumps({"role": "x" * MOST_BYTES}).encode()
    seen = fuzzed.send("POST", path, fuzzed.ada, body)
    assert seen.status in ({413} if "kerberos" not in path else {200, 413})
    if seen.status == 413:
        assert all(isinstance(one, str) for one in seen.data()["errors"])
