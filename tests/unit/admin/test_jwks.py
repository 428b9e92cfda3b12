"""What the issuers publish is written as files that any web server can show."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from credbroker.__main__ import main
from credbroker.admin.jwks import export
from credbroker.config.load import load
from credbroker.config.schema import Settings
from credbroker.domain.errors import KeysMissing, LocalFileUnfit, NotFound
from credbroker.domain.signing_keys import SETTLING_SECONDS
from tests.fakes.signing import DAY, URL, SigningWorld
from tests.unit.admin.rooms import Rooms
from tests.unit.config.place import right, write


@pytest.fixture
def world(rooms: Rooms) -> Iterator[SigningWorld]:
    """A store without keys, by the office's clock."""
    made = SigningWorld(clock=rooms.clock)
    yield made
    made.keysmith.close()


def settings(folder: Path, *names: str) -> Settings:
    """Return settings with these communities."""
    communities: dict[str, Any] = {name: {"url": URL, "clients": {}} for name in names}
    return load(write(folder, broker={**right(folder), "communities": communities}))


async def test_the_documents_of_a_community_lie_in_a_folder_of_its_own(
    rooms: Rooms, world: SigningWorld, tmp_path: Path
) -> None:
    """Readable by all; the keys are those that a broker publishes."""
    signing = await world.signing()
    to = tmp_path / "www"
    await export(settings(tmp_path, "dteam"), world.records, to, rooms.office.desk)
    found = to / "dteam"
    assert (found / "jwks").read_bytes() == signing.jwks()
    document = json.loads((found / ".well-known/openid-configuration").read_text())
    assert (document["issuer"], document["jwks_uri"]) == (URL, URL + "jwks")
    assert json.loads((found / ".well-known/oauth-authorization-server").read_text()) == document
    assert stat.S_IMODE((found / "jwks").stat().st_mode) == 0o644
    assert f"dteam: keys of {URL}: 1" in rooms.answered()
    assert "PRIVATE" not in "".join(one.read_text() for one in found.rglob("*") if one.is_file())


async def test_an_announced_key_is_in_the_files_before_it_signs(
    rooms: Rooms, world: SigningWorld, tmp_path: Path
) -> None:
    """A second run replaces them."""
    await world.signing()
    given = settings(tmp_path, "dteam")
    await export(given, world.records, tmp_path, rooms.office.desk)
    rooms.clock.advance(179 * DAY - SETTLING_SECONDS)
    await world.signing()
    await export(given, world.records, tmp_path, rooms.office.desk)
    assert len(json.loads((tmp_path / "dteam/jwks").read_text())["keys"]) == 2


async def test_a_community_without_keys_is_told_and_nothing_is_written(
    rooms: Rooms, world: SigningWorld, tmp_path: Path
) -> None:
    """An empty key set would have every token refused for as long as it is cached."""
    with pytest.raises(KeysMissing, match="dteam"):
        await export(settings(tmp_path, "dteam"), world.records, tmp_path, rooms.office.desk)
    assert not (tmp_path / "dteam").exists()


async def test_settings_without_a_community_are_told(
    rooms: Rooms, world: SigningWorld, tmp_path: Path
) -> None:
    """There is nothing to write."""
    with pytest.raises(NotFound):
        await export(settings(tmp_path), world.records, tmp_path, rooms.office.desk)


async def test_a_folder_that_cannot_be_made_is_told(
    rooms: Rooms, world: SigningWorld, tmp_path: Path
) -> None:
    """A file is in its place."""
    await world.signing()
    (tmp_path / "dteam").write_text("")
    with pytest.raises(LocalFileUnfit, match="dteam"):
        await export(settings(tmp_path, "dteam"), world.records, tmp_path, rooms.office.desk)


def test_the_command_says_what_it_wants(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder to write to."""
    with pytest.raises(SystemExit) as ended:
        main(["jwks", "export"])
    assert ended.value.code == 2
    assert "--to" in capsys.readouterr().err
