"""What the tests have Rucio's own code do; run by the Python program that Rucio is installed for.

Usage: python inside_rucio.py WHAT [ARGUMENT ...], with $RUCIO_CONFIG set. WHAT is one of
- `prepare IDENTITY FTS`: an empty database, the account of an OIDC identity, two storage elements, a
  file at the first and a rule that wants it at the second, by the FTS server at the URL `FTS`;
- `serve PORT`: the REST server, on loopback;
- `convey`: one round of the daemon that submits transfers;
- `ask AUDIENCE SCOPE`: one token as Rucio's daemons get theirs; prints it as JSON.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SCOPE, FILE, ACCOUNT = "production", "events.root", "production"
SOURCE, DESTINATION = ("SE1", "se1.example.org"), ("SE2", "se2.example.org")
BASE_PATH = "/store"
PREFIX = "/dteam/"

_EVERYTHING = {"read": 1, "write": 1, "delete": 1}
_DOMAINS = {
    "lan": _EVERYTHING,
    "wan": {**_EVERYTHING, "third_party_copy_read": 1, "third_party_copy_write": 1},
}


def prepare(identity: str, fts: str) -> None:
    """Fill an empty database."""
    session, models = import_module("rucio.db.sqla.session"), import_module("rucio.db.sqla.models")
    models.register_models(session.get_engine())
    made = import_module("rucio.db.sqla.util")
    made.create_base_vo()
    made.create_root_account()
    operation = import_module("rucio.db.sqla.constants").DatabaseOperationType
    with session.db_session(operation.WRITE) as opened:
        account = _account(identity, opened)
        source = _storage(*SOURCE, fts, opened)
        destination = _storage(*DESTINATION, fts, opened)
        distance = import_module("rucio.core.distance")
        distance.add_distance(source, destination, distance=1, session=opened)
        _file_and_rule(account, source, destination, opened)


def serve(port: str) -> None:
    """Answer requests until this program is ended."""
    application = import_module("rucio.web.rest.flaskapi.v1.main").application
    application.run(host="127.0.0.1", port=int(port))


def convey() -> None:
    """Submit what waits."""
    submitter = import_module("rucio.daemons.conveyor.submitter").submitter
    submitter(once=True, transfertools=["fts3"], filter_transfertool=None, partition_wait_time=0)


def ask(audience: str, scope: str) -> None:
    """Print what Rucio's daemons would send to a storage element."""
    print(json.dumps(import_module("rucio.core.oidc").request_token(audience, scope)))


def _account(identity: str, session: Any) -> Any:
    types = import_module("rucio.common.types")
    constants = import_module("rucio.db.sqla.constants")
    account = types.InternalAccount(ACCOUNT)
    email = "production@example.org"
    import_module("rucio.core.account").add_account(
        account, constants.AccountType.SERVICE, email, session=session
    )
    import_module("rucio.core.identity").add_account_identity(
        identity, constants.IdentityType.OIDC, account, email, default=True, session=session
    )
    return account


def _storage(name: str, host: str, fts: str, session: Any) -> str:
    rse = import_module("rucio.core.rse")
    made = str(rse.add_rse(name, session=session))
    protocol = {
        "scheme": "davs",
        "hostname": host,
        "port": 443,
        "prefix": f"{BASE_PATH}{PREFIX}",
        "impl": "rucio.rse.protocols.gfal.Default",
        "domains": _DOMAINS,
    }
    rse.add_protocol(made, protocol, session=session)
    attributes = {"fts": fts, "oidc_support": True, "oidc_base_path": BASE_PATH}
    for key, value in attributes.items():
        rse.add_rse_attribute(made, key, value, session=session)
    return made


def _file_and_rule(account: Any, at: str, wanted_at: str, session: Any) -> None:
    scope = import_module("rucio.common.types").InternalScope(SCOPE)
    import_module("rucio.core.scope").add_scope(scope, account, session=session)
    import_module("rucio.core.replica").add_replica(
        at, scope, FILE, bytes_=7, account=account, adler32="0a1b2c3d", session=session
    )
    import_module("rucio.core.account_limit").set_local_account_limit(
        account, wanted_at, 1000, session=session
    )
    import_module("rucio.core.rule").add_rule(
        [{"scope": scope, "name": FILE}],
        account,
        copies=1,
        rse_expression=DESTINATION[0],
        grouping="NONE",
        weight=None,
        lifetime=None,
        locked=False,
        subscription_id=None,
        session=session,
    )


_WHAT: dict[str, Callable[..., None]] = {
    "prepare": prepare,
    "serve": serve,
    "convey": convey,
    "ask": ask,
}

if __name__ == "__main__":
    _WHAT[sys.argv[1]](*sys.argv[2:])
