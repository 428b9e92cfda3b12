"""Answers the people of this host: places their orders, shows them, takes them back.

Each request comes with the uid of who makes it, as the kernel says, and is about that person alone:
another's order is as unknown as one that nobody made.
"""

from __future__ import annotations

from pathlib import Path

from credbroker.domain.errors import Malformed, NotFound
from credbroker.edge.sessions.accounts import Accounts
from credbroker.edge.sessions.host import Host
from credbroker.edge.sessions.source import SessionOrders, check_name, path_in
from credbroker.edge.sessions.standing import Standing
from credbroker.wire import sessions
from credbroker.wire.deliveries import AnnounceDelivery
from credbroker.wire.sessions import AgentAnswer, AskAgent, DeliveryPlaced, DeliverySeen


class Clerk:
    """Deals with one request of one person."""

    def __init__(
        self,
        host: Host,
        orders: SessionOrders,
        standing: Standing,
        accounts: Accounts,
        *,
        folder: Path,
    ) -> None:
        """Join the parts; people's session folders lie in `folder`."""
        self._host = host
        self._orders = orders
        self._standing = standing
        self._folder = folder
        self._accounts = accounts

    async def answer(self, uid: int, asked: AskAgent) -> AgentAnswer:
        """Do what the person with this uid asks for; raise why not."""
        if asked.deed == sessions.PLACE:
            return await self._place(uid, asked.wanted)
        if asked.deed == sessions.LIST:
            return AgentAnswer(seen=self._seen(uid))
        if asked.deed == sessions.END:
            await self._end(uid, asked.id)
        elif asked.deed != sessions.LOOK:
            raise Malformed("The agent does not know this deed.")
        self._standing.look()
        return AgentAnswer()

    async def _place(self, uid: int, wanted: sessions.WantedDelivery | None) -> AgentAnswer:
        if wanted is None:
            raise Malformed("It is not said what is wanted.")
        check_name(wanted.name)
        user = await self._accounts.name(uid)
        announced = await self._host.announce(
            AnnounceDelivery(
                uid=uid,
                user=user,
                issuer=wanted.issuer,
                role=wanted.role,
                scopes=wanted.scopes,
                audiences=wanted.audiences,
                name=wanted.name,
                group=wanted.group,
                replaces_foreign=wanted.replaces_foreign,
            )
        )
        placed = DeliveryPlaced(
            id=announced.id,
            consent_code=announced.consent_code,
            expires_at=announced.expires_at,
            host=await self._host.name(),
            user=user,
            path=str(path_in(self._folder, uid, wanted.name)),
        )
        return AgentAnswer(placed=placed)

    def _seen(self, uid: int) -> list[DeliverySeen]:
        return [
            DeliverySeen(one.id, str(path_in(self._folder, uid, one.name)), state)
            for one, state in self._orders.of(uid)
        ]

    async def _end(self, uid: int, named: str | None) -> None:
        if named is None or named not in {one.id for one, _ in self._orders.of(uid)}:
            raise NotFound(
                "You have no such order on this host.", "See yours with: credbroker deliver list"
            )
        await self._host.end(named)
