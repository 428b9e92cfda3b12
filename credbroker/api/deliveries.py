"""`/api/v1/hosts` and `/api/v1/deliveries`: hosts that show who they are, and orders that go to them."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

from aiohttp import web

from credbroker.api.bodies import body_of
from credbroker.api.callers import identify, origin
from credbroker.api.host_callers import certificate_of, identify_host, is_host
from credbroker.api.operations import Operation, answer_with
from credbroker.api.strangers import Strangers
from credbroker.broker.deliveries.deeds import Deliveries
from credbroker.broker.deliveries.hosting import KnownHost
from credbroker.broker.leasing import Caller, Leasing
from credbroker.domain.deliveries import Delivery, Ordered, Shown, Target, check_id, page
from credbroker.domain.errors import Malformed
from credbroker.wire import deliveries as wire
from credbroker.wire.hosts import read_join_token


class DeliveriesApi:
    """Takes requests apart, calls one deed each, writes the answers."""

    def __init__(
        self,
        deeds: Deliveries,
        leasing: Leasing,
        strangers: Strangers,
        tls: ssl.SSLContext | None,
    ) -> None:
        """Serve these deeds; `strangers` counts who is nobody, `tls` says whose certificates count."""
        self._deeds = deeds
        self._leasing = leasing
        self._strangers = strangers
        self._tls = tls

    def operations(self) -> list[Operation]:
        """Return all that is offered here; `mine` stands above what takes any id."""
        return [
            Operation("POST", wire.HOST_JOIN, "joinHost", "Trade a join token for a key's right.",
                      self.join, 201, wire.JoinHost, wire.HostJoined, shows="nothing"),
            Operation("POST", wire.HOST_SESSIONS, "openHostSession", "Show which host this is.",
                      self.open_session, 201, wire.OpenHostSession, wire.HostSession,
                      shows="nothing"),
            Operation("GET", wire.MY_DELIVERIES, "listMyDeliveries", "A person's standing orders.",
                      self.mine, gives=wire.DeliveriesShown),
            Operation("POST", wire.DELIVERIES, "announceDelivery", "Announce an order, as its host.",
                      self.announce, 201, wire.AnnounceDelivery, wire.DeliveryAnnounced),
            Operation("GET", wire.DELIVERIES, "listDeliveries", "The orders for this host.",
                      self.listed, gives=wire.DeliveriesShown),
            Operation("POST", wire.CONSENT, "consentDelivery", "Consent to an order, with a login.",
                      self.consent, takes=wire.ConsentDelivery, gives=wire.DeliveryShown),
            Operation("POST", wire.DELIVERY_LEASE, "leaseDelivery", "This host's lease for an order.",
                      self.lease, 201, gives=wire.DeliveryLease),
            Operation("DELETE", wire.DELIVERY, "endDelivery", "End an order, as its person or host.",
                      self.end, 204),
        ]  # fmt: skip

    async def join(self, request: web.Request) -> web.Response:
        """Let a key speak for a host."""
        self._strangers.count(request)
        asked = wire.JoinHost.read(await body_of(request))
        token = read_join_token(asked.join_token)
        host = await self._deeds.joining.join(token, asked.public_key, origin(request))
        return answer_with(wire.HostJoined(host.name), 201)

    async def open_session(self, request: web.Request) -> web.Response:
        """Open a host's session."""
        self._strangers.count(request)
        asked = wire.OpenHostSession.read(await body_of(request) or b"{}")
        hosting, where = self._deeds.hosting, origin(request)
        if asked.assertion is not None:
            token, host = await hosting.by_assertion(asked.assertion, where)
        else:
            token, host = await hosting.by_certificate(certificate_of(request, self._tls), where)
        ends_at = host.session.ends_at
        return answer_with(
            wire.HostSession(token.text(), host.name, list(host.groups), ends_at), 201
        )

    async def announce(self, request: web.Request) -> web.Response:
        """Take an announcement."""
        host = await self._host(request)
        ordered = _ordered(wire.AnnounceDelivery.read(await body_of(request)), host)
        waits, code = await self._deeds.ordering.announce(host, ordered)
        return answer_with(wire.DeliveryAnnounced(waits.id, code, waits.expires_at), 201)

    async def consent(self, request: web.Request) -> web.Response:
        """Let an order stand."""
        caller = await self._caller(request)
        asked = wire.ConsentDelivery.read(await body_of(request))
        delivery = await self._deeds.ordering.consent(caller, _id(request), _shown(asked))
        return answer_with(_told(delivery))

    async def listed(self, request: web.Request) -> web.Response:
        """List a host's orders."""
        return _listed(await self._deeds.delivering.orders(await self._host(request)), request)

    async def mine(self, request: web.Request) -> web.Response:
        """List the orders of a person's login."""
        return _listed(await self._deeds.ordering.mine(await self._caller(request)), request)

    async def lease(self, request: web.Request) -> web.Response:
        """Give a host its lease for an order."""
        host = await self._host(request)
        token, lease = await self._deeds.delivering.lease(host, _id(request))
        return answer_with(wire.DeliveryLease(token.text(), lease.ends_at), 201)

    async def end(self, request: web.Request) -> web.Response:
        """End an order, by whose word the token says."""
        if is_host(request):
            await self._deeds.delivering.give_up(await self._host(request), _id(request))
        else:
            await self._deeds.ordering.take_back(await self._caller(request), _id(request))
        return web.Response(status=204)

    async def _host(self, request: web.Request) -> KnownHost:
        return await identify_host(request, self._deeds.hosting, self._strangers)

    async def _caller(self, request: web.Request) -> Caller:
        return await identify(request, self._leasing, self._strangers)


def _id(request: web.Request) -> str:
    return check_id(request.match_info["id"])


def _ordered(asked: wire.AnnounceDelivery, host: KnownHost) -> Ordered:
    return Ordered(
        target=Target(host.name) if asked.group is None else Target(asked.group, is_group=True),
        uid=asked.uid,
        user=asked.user,
        issuer=asked.issuer,
        role=asked.role,
        scopes=tuple(asked.scopes),
        audiences=tuple(asked.audiences),
        name=asked.name or "",
        replaces_foreign=asked.replaces_foreign,
    )


def _shown(asked: wire.ConsentDelivery) -> Shown:
    if (asked.host is None) == (asked.group is None):
        raise Malformed("Consent names either the host or the group that was shown.")
    target = Target(asked.group or asked.host or "", is_group=asked.group is not None)
    return Shown(
        target=target,
        uid=asked.uid,
        user=asked.user,
        scopes=tuple(asked.scopes),
        audiences=tuple(asked.audiences),
        name=asked.name or "",
        replaces_foreign=asked.replaces_foreign,
        code_hash=asked.consent_code.digest(),
    )


def _told(delivery: Delivery) -> wire.DeliveryShown:
    ordered = delivery.ordered
    return wire.DeliveryShown(
        id=delivery.id,
        uid=ordered.uid,
        user=ordered.user,
        issuer=ordered.issuer,
        role=ordered.role,
        scopes=list(ordered.scopes),
        audiences=list(ordered.audiences),
        replaces_foreign=ordered.replaces_foreign,
        ends_at=delivery.ends_at,
        name=ordered.name or None,
        host=None if ordered.target.is_group else ordered.target.name,
        group=ordered.target.name if ordered.target.is_group else None,
    )


def _listed(found: Iterable[Delivery], request: web.Request) -> web.Response:
    told, more = page(found, request.query.get("after", ""))
    return answer_with(wire.DeliveriesShown([_told(one) for one in told], more))
