"""What the tests with HTCondor's vault credmon share: an old HTVault, a broker, an access point.

A move is what it is at a site: the same name, another server behind it. Nothing else is changed.
A test module says which credmon it is by the fixture `start_credmon`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.host.clock import SystemClock
from tests.fixtures_openbao import running_copy
from tests.interop.condor.site import PEOPLE, POLICY, OldVault, access_token, put_top, url_of
from tests.interop.htgettoken.site import ISSUER, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer
    from tests.interop.condor.site import AccessPoint, StartCredmon


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
def credmon(tmp_path: Path, old: OldVault, start_credmon: StartCredmon) -> AccessPoint:
    """An access point with two hundred old `.top` files; everybody's token is there."""
    for person, vault_token in old.vault_tokens.items():
        put_top(tmp_path, person, ISSUER, vault_token=vault_token, vault_url=url_of(person))
    credmon = start_credmon(tmp_path, old.port)
    assert credmon.scan() == len(PEOPLE), credmon.complaints[:3]
    return credmon
