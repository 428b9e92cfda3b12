"""All that is served in an HTVault's place, as one list of routes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from credbroker.api.browsers import Forms
from credbroker.api.grants_pages import GrantsPages
from credbroker.api.htvault import HtvaultApi, HtvaultDeeds
from credbroker.api.htvault_kerberos import HtvaultKerberos
from credbroker.api.htvault_legacy import HtvaultLegacy
from credbroker.api.htvault_login import HostName, HtvaultLogin
from credbroker.api.htvault_ssh import HtvaultSsh
from credbroker.api.login_pages import LoginPages
from credbroker.api.outlook import Outlook
from credbroker.api.strangers import Strangers
from credbroker.broker.engine import Engine
from credbroker.broker.htvault import Htvault
from credbroker.broker.notices.choosing import Choosing
from credbroker.ports import Clock, Entropy, LoginSeal


@dataclass(frozen=True, slots=True)
class Around:
    """What the surface needs beside the deeds: who counts strangers, what seals forms, and so on.

    `options_file` is given to htgettoken, `host_name` names addresses for people, `outlook` says how
    issuers stand, `choosing` knows who wants mails.
    """

    strangers: Strangers
    clock: Clock
    entropy: Entropy
    seal: LoginSeal
    host_name: HostName
    options_file: Path | None
    outlook: Outlook
    choosing: Choosing


def htvault_routes(engine: Engine, htvault: Htvault, around: Around) -> list[web.RouteDef]:
    """Return the routes of one replica's deeds."""
    strangers, clock = around.strangers, around.clock
    deeds = HtvaultDeeds(
        engine.leasing, engine.minting, engine.ending, engine.reaching, htvault.placing.place
    )
    legacy = HtvaultLegacy(htvault.legacy, strangers, clock)
    ssh = HtvaultSsh(htvault.ssh, htvault.ssh_registering, engine.leasing, strangers, clock)
    return [
        *HtvaultApi(deeds, legacy, strangers, clock, around.options_file).routes(),
        *HtvaultLogin(htvault.confirming, strangers, clock, around.host_name).routes(),
        *_pages(htvault, around),
        *HtvaultKerberos(htvault.kerberos, strangers, clock).routes(),
        *ssh.routes(),
    ]


def _pages(htvault: Htvault, around: Around) -> list[web.RouteDef]:
    strangers, forms = around.strangers, Forms(around.seal, around.entropy)
    mine = GrantsPages(
        htvault.visiting,
        htvault.my_grants,
        strangers,
        forms,
        around.outlook,
        choosing=around.choosing,
    )
    logins = LoginPages(htvault.confirming, htvault.returning, strangers, forms, mine)
    return [*logins.routes(), *mine.routes()]
