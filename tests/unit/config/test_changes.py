"""What differs between two settings, and which differences a running broker refuses."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from credbroker.config.changes import AT_A_START, changed, check_takeable, issuers_as_before
from credbroker.config.load import load
from credbroker.config.schema import Settings
from credbroker.domain.errors import BadSettings
from tests.unit.config.place import right, write

if TYPE_CHECKING:
    from pathlib import Path


def settings(folder: Path, **sections: Any) -> Settings:
    """Return settings that are right, with these sections merged over them."""
    return load(write(folder, a=right(folder), b=sections))


def test_what_is_the_same_is_no_change(tmp_path: Path) -> None:
    """However often it is read."""
    one = settings(tmp_path)
    assert changed(one, copy.deepcopy(one)) == []
    check_takeable(one, copy.deepcopy(one))


def test_each_changed_key_is_named_and_no_value(tmp_path: Path) -> None:
    """Of entries that came or went, the entry's own key."""
    before, after = right(tmp_path), right(tmp_path)
    after["issuers"]["egi"]["roles"]["pilot.2"]["scopes"].append("storage.modify:/")
    after["issuers"]["atlas"] = after["issuers"].pop("cms")
    after |= {"log": {"level": "debug"}, "ssh": {"registration": True}}
    first, second = load(write(tmp_path, a=before)), load(write(tmp_path, a=after))
    assert changed(first, second) == [
        "issuers.atlas", "issuers.cms", "issuers.egi.roles.pilot.2.scopes", "ssh.registration",
        "log.level",
    ]  # fmt: skip
    check_takeable(first, second)


def test_an_issuer_is_as_before_if_nothing_of_it_was_changed_under_any_name(tmp_path: Path) -> None:
    """Limits of others do not count, nor what is not about issuers."""
    one, issuers = right(tmp_path), right(tmp_path)["issuers"]
    two = {**one, "issuers": {**issuers, "again": {**issuers["cms"]}}}
    three = {**two, "issuers": {**two["issuers"], "again": {**issuers["cms"], "seconds": 3.0}}}
    urls = {name: issuer["url"] for name, issuer in issuers.items()}
    first, second, third = (load(write(tmp_path, a=text)) for text in (one, two, three))
    assert issuers_as_before(first, second) == set(urls.values())
    assert issuers_as_before(second, third) == set(urls.values()) - {urls["cms"]}
    assert issuers_as_before(second, first) == set(urls.values()) - {urls["cms"]}


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"listen": {"port": 8201}}, "listen.port"),
        ({"listen": {"address": "127.0.0.2"}}, "listen.address"),
        ({"audit": {"folder": "/elsewhere"}}, "audit.folder"),
        ({"custody": {"spool_entries": 7}}, "custody.spool_entries"),
        ({"vault": {"approle": {"mount": "other"}}}, "vault.approle.mount"),
    ],
)
def test_what_a_broker_holds_on_to_is_refused_by_name(
    tmp_path: Path, sections: dict[str, Any], key: str
) -> None:
    """Also beside changes that it could take."""
    before = settings(tmp_path)
    after = settings(tmp_path, **{"log": {"level": "debug"}, **sections})
    with pytest.raises(BadSettings, match=rf"^{key}: ") as error:
        check_takeable(before, after)
    assert "Start the broker again" in error.value.remedy


def test_each_of_them_is_a_setting() -> None:
    """Else a renamed one would be taken, and not count."""
    for key in AT_A_START:
        section: Any = Settings
        for name in key.split("."):
            fields = {one.name: one.type for one in msgspec.structs.fields(section)}
            section = fields[name]
