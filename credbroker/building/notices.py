"""Opens what people are told by, as the settings say, and wires it to the deeds of one replica."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack

from credbroker.broker.deliveries.deeds import Deliveries
from credbroker.broker.engine import Engine
from credbroker.broker.notices.deeds import NoticeBounds, Notices, NoticeStores, assemble
from credbroker.broker.notices.telling import MAIL, WEBHOOK
from credbroker.broker.running import Means
from credbroker.building.opening import Opened, open_door
from credbroker.config.load import read_secret
from credbroker.config.notify import Mail
from credbroker.config.notify import Webhook as WebhookSettings
from credbroker.config.schema import Settings
from credbroker.domain.errors import BadSettings
from credbroker.domain.notices import NoticeRules
from credbroker.host.mail import MailServer, SmtpMail
from credbroker.host.webhook import Webhook
from credbroker.ports import Channel, Clock
from credbroker.stores.records import choice_records, told_records


async def build_notices(
    settings: Settings,
    opened: Opened,
    engine: Engine,
    deliveries: Deliveries,
    means: Means,
    *,
    stack: AsyncExitStack,
) -> Notices:
    """Return what tells people in time, by whatever the settings name. Raises `BadSettings`."""
    channels = await _channels(settings, means.clock, stack)
    mount = settings.vault.mount
    rules = NoticeRules(settings.leases.login_seconds, settings.keeper.warn_seconds)
    return assemble(
        engine,
        NoticeStores(
            opened.stores.grants,
            told_records(opened.vault, mount),
            choice_records(opened.vault, mount),
        ),
        channels,
        means,
        bounds=NoticeBounds(
            settings.public_url.rstrip("/"), rules, settings.notify.most_per_minute
        ),
        orders_with=deliveries.standing.with_login,
    )


async def _channels(
    settings: Settings, clock: Clock, stack: AsyncExitStack
) -> Mapping[str, Channel]:
    channels: dict[str, Channel] = {}
    mail, webhook = settings.notify.mail, settings.notify.webhook
    if mail is not None:
        channels[MAIL] = _mail(mail, clock, stack)
    if webhook is not None:
        channels[WEBHOOK] = await _webhook(webhook, clock, stack)
    return channels


def _mail(settings: Mail, clock: Clock, stack: AsyncExitStack) -> SmtpMail:
    password = settings.password_file
    server = MailServer(
        host=settings.server,
        port=settings.port,
        security=settings.security,
        sender=settings.sender,
        seconds=settings.seconds,
        ca_file=str(settings.ca_file) if settings.ca_file is not None else None,
        user=settings.user,
        password=read_secret(password, "mail password") if password is not None else None,
    )
    try:
        mail = SmtpMail(server, clock)
    except (OSError, ssl.SSLError):
        raise BadSettings(f"{settings.ca_file}: this does not hold certificates (PEM).") from None
    stack.callback(mail.close)
    return mail


async def _webhook(settings: WebhookSettings, clock: Clock, stack: AsyncExitStack) -> Webhook:
    door = await stack.enter_async_context(open_door(settings.ca_file))
    secret = read_secret(settings.secret_file, "webhook secret")
    return Webhook(door, settings.url, secret, clock, seconds=settings.seconds)
