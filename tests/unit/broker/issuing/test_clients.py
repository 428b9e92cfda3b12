"""A client is known by its id and secret together, as settings have them."""

from __future__ import annotations

import hashlib

import pytest

from credbroker.broker.issuing.clients import Clients, client_of, entitled
from credbroker.config.communities import ServiceClient
from credbroker.domain.errors import UnknownClient
from credbroker.domain.secret import Secret

HASH = hashlib.sha256(b"opensesame").hexdigest()
SETTINGS = ServiceClient(
    scopes=["storage.read:/", "fts"],
    audiences=["https://*.example.org"],
    default_scopes=["fts"],
    default_audiences=["https://fts.example.org"],
    secret_sha256=HASH,
    longest_seconds=7200.0,
    stage_adds_read=True,
    exchanges_for=["rucio"],
    reuse_seconds=30.0,
    rotates=True,
)


def test_a_client_is_what_its_settings_say() -> None:
    """Nothing is lost on the way."""
    client = client_of("fts", SETTINGS, None)
    assert (client.id, client.secret_sha256) == ("fts", HASH)
    assert client.grants == {"client_credentials"}
    assert (client.reuse_seconds, client.answer_seconds, client.rotates) == (30.0, 2.5, True)
    assert (client.exchanges_for, client.offline_seconds) == (frozenset({"rucio"}), 7 * 86400.0)
    limits = entitled(SETTINGS)
    assert client.entitled == limits
    assert str(limits.scopes) == "storage.read:/ fts"
    assert str(limits.default_scopes) == "fts"
    assert limits.audiences == ("https://*.example.org",)
    assert limits.default_audiences == ("https://fts.example.org",)
    assert (limits.longest_seconds, limits.stage_adds_read) == (7200, True)


def test_a_secret_from_a_file_is_kept_as_its_hash() -> None:
    """And shown nowhere."""
    client = client_of("fts", SETTINGS, Secret("client secret", "from-a-file"))
    assert client.has_secret(Secret("client secret", "from-a-file"))
    assert client.secret_sha256 not in repr(client)


def test_one_reading_of_the_secret_is_enough() -> None:
    """Clients send it raw or percent-encoded."""
    clients = Clients({"fts": client_of("fts", SETTINGS, None)})
    assert clients.identify("fts", ["open%73esame", "opensesame"]).id == "fts"
    assert clients.identify("fts", ["opensesame", "other"]).id == "fts"


@pytest.mark.parametrize(
    ("client_id", "secrets"),
    [("fts", ["wrong"]), ("fts", []), ("fts", [""]), ("rucio", ["opensesame"]), ("", ["-" * 64]),
     ("fts", [HASH]), ("fts", ["\udc80"]), ("\udc80", ["opensesame"])],
)  # fmt: skip
def test_a_wrong_id_and_a_wrong_secret_are_refused_alike(
    client_id: str, secrets: list[str]
) -> None:
    """Nobody learns which ids there are."""
    clients = Clients({"fts": client_of("fts", SETTINGS, None)})
    with pytest.raises(UnknownClient) as error:
        clients.identify(client_id, secrets)
    assert error.value.sentence == "No client has this id and secret here."


def test_a_client_may_be_looked_up_without_its_secret() -> None:
    """By who knows already whom it means."""
    clients = Clients({"fts": client_of("fts", SETTINGS, None)})
    assert clients.get("fts") is not None
    assert clients.get("rucio") is None
