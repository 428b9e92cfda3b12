"""XRootD and its scitokens plugin, unmodified, take the tokens that our issuer signs, and no others.

The settings of both sides are those of docs/neighbours/xrootd.md.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import urllib.parse
from typing import TYPE_CHECKING

import pytest

from tests.interop.neighbours.conftest import CLIENT
from tests.interop.neighbours.issuer_world import opened
from tests.interop.neighbours.xrootd import XrootdServer, missing_program, no_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from tests.interop.neighbours.conftest import Storage

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(missing_program() is not None, reason=str(missing_program())),
]

DAY = 86400.0
READ, CREATE, MODIFY = "storage.read:/data", "storage.create:/data", "storage.modify:/data"


def test_a_token_opens_what_its_scope_names_and_not_the_folder_beside_it(storage: Storage) -> None:
    """The first thing anybody asks of a token."""
    storage.source.store("/data/one", b"first")
    storage.source.store("/other/one", b"second")
    ours = storage.token(READ)
    assert storage.source.ask("GET", "/data/one", ours).body == b"first"
    assert storage.source.ask("GET", "/other/one", ours).status == 403
    assert storage.source.ask("GET", "/data/one").status == 403


def test_a_token_signed_with_es256_opens_the_same(storage: Storage) -> None:
    """The destination's audience has that algorithm in the settings."""
    storage.destination.store("/data/one", b"there")
    ours = storage.token(READ, storage.destination)
    assert opened(ours)[0]["alg"] == "ES256"
    assert opened(storage.token(READ))[0]["alg"] == "RS256"
    assert storage.destination.ask("GET", "/data/one", ours).body == b"there"
    assert storage.destination.ask("GET", "/other/one", ours).status == 403


def test_who_may_only_read_writes_nothing(storage: Storage) -> None:
    """Neither a new file nor over one."""
    assert storage.source.ask("PUT", "/data/by-reader", storage.token(READ), b"no").status == 403
    assert not (storage.source.area / "data" / "by-reader").exists()


def test_create_writes_a_new_file_and_never_over_one(storage: Storage) -> None:
    """What is there stays as it is."""
    ours = storage.token(CREATE)
    assert storage.source.ask("PUT", "/data/new", ours, b"once").status in {200, 201}
    assert storage.source.ask("PUT", "/data/new", ours, b"twice").status == 403
    assert (storage.source.area / "data" / "new").read_bytes() == b"once"


def test_modify_writes_over_a_file_and_with_read_removes_it(storage: Storage) -> None:
    """And only where its path leads. Over HTTP the server looks at a file before it removes it."""
    storage.source.store("/data/old", b"before")
    storage.source.store("/other/old", b"before")
    ours = storage.token(MODIFY)
    assert storage.source.ask("PUT", "/data/old", ours, b"after").status in {200, 201}
    assert (storage.source.area / "data" / "old").read_bytes() == b"after"
    assert storage.source.ask("PUT", "/other/old", ours, b"after").status == 403
    assert storage.source.ask("DELETE", "/data/old", ours).status == 403
    both = storage.token(f"{MODIFY} {READ}")
    assert storage.source.ask("DELETE", "/other/old", both).status == 403
    assert storage.source.ask("DELETE", "/data/old", both).status in {200, 204}
    assert not (storage.source.area / "data" / "old").exists()


@pytest.mark.parametrize("scope", [CREATE, MODIFY])
def test_who_may_only_write_reads_nothing(storage: Storage, scope: str) -> None:
    """So a writer asks for `storage.read` as well."""
    storage.source.store("/data/unread", b"hidden")
    assert storage.source.ask("GET", "/data/unread", storage.token(scope)).status == 403


def test_a_token_for_another_server_opens_nothing(storage: Storage) -> None:
    """Both trust the same issuer."""
    storage.source.store("/data/mine", b"mine")
    foreign = storage.token(READ, storage.destination)
    assert storage.source.ask("GET", "/data/mine", foreign).status == 403


def test_a_token_for_both_servers_opens_both(storage: Storage) -> None:
    """Its `aud` is a list then."""
    for server in (storage.source, storage.destination):
        server.store("/data/both", b"both")
    audiences = f"{storage.source.audience} {storage.destination.audience}"
    ours = storage.issuer.token(CLIENT, READ, audiences)
    for server in (storage.source, storage.destination):
        assert server.ask("GET", "/data/both", ours).body == b"both"


def test_a_token_that_was_tampered_with_opens_nothing(storage: Storage) -> None:
    """Its signature no longer fits."""
    storage.source.store("/data/safe", b"safe")
    header, claims, signature = storage.token(READ).split(".")
    _, other, _ = storage.token("storage.read:/").split(".")
    assert storage.source.ask("GET", "/data/safe", f"{header}.{other}.{signature}").status == 403
    assert storage.source.ask("GET", "/data/safe", f"{header}.{claims}.{signature}").status == 200


def test_a_token_in_the_url_opens_the_file_without_a_header(storage: Storage) -> None:
    """As a pre-signed URL has it."""
    storage.source.store("/data/signed", b"by its address")
    ours = urllib.parse.quote(f"Bearer {storage.token('storage.read:/data/signed')}")
    assert storage.source.ask("GET", f"/data/signed?authz={ours}").body == b"by its address"
    assert storage.source.ask("GET", f"/data/one?authz={ours}").status == 403


def test_a_pre_signed_url_opens_its_file_and_no_other(storage: Storage) -> None:
    """As the broker writes it for a service that asks in bulk."""
    for name in ("ours", "theirs"):
        storage.source.store(f"/data/{name}", name.encode())
    url = storage.source.url("/data/ours")
    entry = {"path": "/data/ours", "access": ["read"], "url": url, "form": "url"}
    bulk = f"/api/v1/communities/{storage.issuer.name}/tokens:files"
    answer = storage.issuer.post_json(bulk, CLIENT, {"entries": [entry]})
    assert answer.status == 200, answer
    signed, shown = str(answer.json["url"]).split("?")
    assert signed == url
    assert storage.source.ask("GET", f"/data/ours?{shown}").body == b"ours"
    assert storage.source.ask("GET", f"/data/theirs?{shown}").status == 403


def test_a_rotation_of_keys_disturbs_no_transfer(storage: Storage) -> None:
    """Servers that last fetched keys a day ahead take the tokens of the new key, and of the old."""
    storage.source.store("/data/rotated", b"whichever key")
    tokens = [storage.token(READ)]
    with reading(storage, "/data/rotated", tokens) as statuses:
        storage.issuer.age_keys(179.5 * DAY)  # of 180; a successor is announced from now on
        for server in (storage.source, storage.destination):
            server.know_keys(storage.issuer.jwks())
        tokens.append(storage.token(READ))
        storage.issuer.age_keys(DAY + 300)
        tokens.append(storage.token(READ))
        copied = pull(
            storage, "/data/rotated", tokens[-1], storage.token(CREATE, storage.destination)
        )
    assert b"success:" in copied, copied
    before, announced, after = [opened(one)[0]["kid"] for one in tokens]
    assert before == announced != after
    assert {before, after} <= {key["kid"] for key in storage.issuer.jwks()["keys"]}
    assert set(statuses) == {200}


def test_the_log_names_whose_token_it_was(storage: Storage) -> None:
    """By the subject and issuer that our audit trail has, too."""
    storage.source.store("/data/logged", b"seen")
    ours = storage.token(READ)
    assert storage.source.ask("GET", "/data/logged", ours).status == 200
    subject = opened(ours)[1]["sub"]
    assert f"subject={subject}, issuer={storage.issuer.url}" in storage.source.said()


def test_xrdcp_copies_with_the_token_of_a_private_file(storage: Storage, tmp_path: Path) -> None:
    """Over XRootD's own protocol, which logs in by ztn."""
    storage.source.store("/data/copied", b"by xrdcp")
    private = tmp_path / "bt"
    private.touch(mode=0o600)
    private.write_text(storage.token(READ))
    environment = {
        "PATH": os.defpath,
        "X509_CERT_DIR": str(storage.source.certificates),
        "BEARER_TOKEN_FILE": str(private),
    }
    address = f"{storage.source.root}/dteam/data/copied"
    words = ["xrdcp", "--silent", address, str(tmp_path / "copy")]
    done = subprocess.run(words, env=environment, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "copy").read_bytes() == b"by xrdcp"


def test_a_third_party_copy_takes_a_token_for_each_end(storage: Storage) -> None:
    """The destination pulls: its own token lets it write, the source's lets it read."""
    storage.source.store("/data/moved", b"from one to the other" * 1000)
    reads, writes = storage.token(READ), storage.token(CREATE, storage.destination)
    copied = pull(storage, "/data/moved", reads, writes)
    assert copied.startswith(b"success:") or b"\nsuccess:" in copied, copied
    there = storage.destination.area / "data" / "moved"
    assert there.read_bytes() == b"from one to the other" * 1000


def test_a_third_party_copy_fails_where_the_sources_token_is_for_another_folder(
    storage: Storage,
) -> None:
    """The answer's status is no help: what failed is said in its body."""
    storage.source.store("/data/kept", b"stays")
    reads = storage.token("storage.read:/other")
    writes = storage.token(CREATE, storage.destination)
    assert b"failure:" in pull(storage, "/data/kept", reads, writes)


def test_a_third_party_copy_fails_where_one_token_is_for_the_other_end(storage: Storage) -> None:
    """A token that leaks at one end is worth nothing at the other."""
    storage.source.store("/data/apart", b"apart")
    writes = storage.token(CREATE, storage.destination)
    assert b"failure:" in pull(storage, "/data/apart", writes, writes)


def test_a_fresh_token_opens_while_the_issuer_is_down(storage: Storage) -> None:
    """The server asks nobody about a request: it knows the keys."""
    storage.source.store("/data/alone", b"alone")
    fresh = storage.token(READ)
    with storage.issuer.down():
        assert storage.source.ask("GET", "/data/alone", fresh).body == b"alone"


@pytest.mark.skipif(no_namespace() is not None, reason=str(no_namespace()))
def test_a_server_fetches_the_keys_itself_and_keeps_them(
    storage: Storage, authority: Authority
) -> None:
    """From the metadata to the keys, over TLS; afterwards the issuer may be down."""
    server = XrootdServer(authority)
    try:
        server.trust(storage.issuer.url, storage.source.audience)
        server.store("/data/fetched", b"fetched")
        server.start(fetching=True)
        ours = storage.token(READ)
        assert server.ask("GET", "/data/fetched", ours).body == b"fetched", server.said()
        later = storage.token(READ)
        with storage.issuer.down():
            assert server.ask("GET", "/data/fetched", later).body == b"fetched"
    finally:
        server.close()


@pytest.mark.skipif(no_namespace() is not None, reason=str(no_namespace()))
def test_a_server_without_keys_takes_tokens_as_soon_as_the_issuer_is_back(
    storage: Storage, authority: Authority
) -> None:
    """It met nobody's keys before; it needs no restart."""
    server = XrootdServer(authority)
    ours = storage.token(READ)
    try:
        server.trust(storage.issuer.url, storage.source.audience)
        server.store("/data/cold", b"cold")
        with storage.issuer.down():
            server.start(fetching=True)
            assert server.ask("GET", "/data/cold", ours).status == 403
        assert server.ask("GET", "/data/cold", ours).body == b"cold", server.said()
    finally:
        server.close()


@contextlib.contextmanager
def reading(storage: Storage, path: str, tokens: list[str]) -> Iterator[list[int]]:
    """Have a file read over and over, with all of the tokens in turn; give every answer's status."""
    statuses: list[int] = []
    enough = threading.Event()

    def read() -> None:
        while not enough.is_set():
            statuses.extend(storage.source.ask("GET", path, one).status for one in [*tokens])

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield statuses
    finally:
        enough.set()
        reader.join()
    statuses.extend(storage.source.ask("GET", path, one).status for one in tokens)


def pull(storage: Storage, path: str, reads: str, writes: str) -> bytes:
    """Have the destination fetch a file from the source; return what it said about it."""
    return storage.destination.ask(
        "COPY",
        path,
        writes,
        Source=storage.source.url(path),
        TransferHeaderAuthorization=f"Bearer {reads}",
    ).body
