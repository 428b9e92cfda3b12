"""An access point's folder and a source that reads it, for the tests here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from credbroker.delivery import whole_file
from credbroker.edge.condor.folder import Folder
from credbroker.edge.condor.settings import Settings
from credbroker.edge.condor.source import CondorSource
from credbroker.edge.condor.wake import Wake
from credbroker.edge.condor.wanted import Reader
from credbroker.edge.orders import Fresh, Order
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.jwt import read_access_token
from tests.fakes.broker import access_token
from tests.fakes.credd import Credd

if TYPE_CHECKING:
    import datetime
    from pathlib import Path

URL = "https://vault.example.org:8200/v1/secret/oauth/creds/cms/alice:default"
REQUEST = {"vault_url": URL, "vault_token": "hvs.AAAA"}


class Shifted(SystemClock):
    """The machine's clock, some seconds ahead: the times of files cannot be moved."""

    ahead_seconds = 0.0

    def now(self) -> datetime.datetime:
        """Return the shifted time."""
        return SystemClock(self.ahead_seconds).now()

    def elapsed(self) -> float:
        """Return seconds since boot, shifted as well."""
        return super().elapsed() + self.ahead_seconds


@dataclass
class Scene:
    """A folder with its source; `said` is the log."""

    credd: Credd
    clock: Shifted = field(default_factory=Shifted)
    said: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin as a credmon does that has just started."""
        self.start()

    def start(self, **settings: Any) -> None:
        """Forget everything, as a new credmon has."""
        self.settings = Settings(self.credd.folder, **settings)
        self.folder = Folder(self.credd.folder)
        self.wake = Wake()
        reader = Reader(self.folder, self.settings)
        self.source = CondorSource(reader, self.wake, self.clock, self.say)

    def say(self, event: str, **fields: object) -> None:
        """Keep what is said."""
        self.said.append((event, fields))

    def events(self) -> list[str]:
        """Return what was said, without the fields."""
        return [event for event, _ in self.said]

    def look(self) -> dict[str, Order]:
        """Look at everything, and return the orders."""
        self.wake.everywhere()
        return dict(self.source.orders())

    def deliver(self, key: str, seconds: float = 3600.0, **claims: object) -> bytes:
        """Deliver a token for an order as the engine does; return what its file holds then."""
        order = self.source.orders()[key]
        token = access_token(self.clock.now(), seconds=seconds, **claims)  # type: ignore[arg-type]  # claims are any
        content = token.reveal().encode() + b"\n"
        place = order.place
        whole_file.replace(place.path, content, SystemEntropy(), mode=place.mode, owner=place.owner)
        read = read_access_token(token, self.clock.now())
        self.source.delivered(order, Fresh(read, seconds / 2))
        return content

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.ahead_seconds += seconds

    def use(self, user: str, name: str) -> Path:
        """Return where a `.use` belongs."""
        return self.credd.folder / user / f"{name}.use"
