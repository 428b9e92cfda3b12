"""HTCondor's tools are run as they are, and their answers are understood."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import LocalFileUnfit
from credbroker.edge.storer import tools
from credbroker.edge.storer.tools import CondorCredd, Kept, NotStored, config_value, least_seconds
from tests.fakes.condor_config import condor_settings
from tests.fakes.condor_tools import CondorTools

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # each starts HTCondor's tools, several times

WHOLE = ("", "")
TOP = b'{"vault_token":"a secret","vault_url":"https://broker.example.org:8200/v1/x"}\n'


@pytest.fixture
def condor(tmp_path: Path) -> CondorTools:
    """The tools, configured as the page for access points shows."""
    return CondorTools(tmp_path / "condor", condor_settings())


def credd(condor: CondorTools, host: str | None = None, **more: str) -> CondorCredd:
    """Return the credd as a storer finds it."""
    path = f"{condor.bin}{os.pathsep}{os.defpath}"
    return CondorCredd({"PATH": path, **more}, host)


def test_what_is_stored_is_found_again(condor: CondorTools) -> None:
    """First it waits for the credmon; once there is a token of it, it is ready."""
    ours = credd(condor)
    assert ours.query("cms", WHOLE) is Kept.NOTHING
    ours.store("cms", WHOLE, TOP)
    assert ours.query("cms", WHOLE) is Kept.WAITING
    condor.serve()
    assert ours.query("cms", WHOLE) is Kept.READY
    assert (condor.of_person / "cms.top").read_bytes() == TOP


def test_a_token_from_before_what_is_stored_now_does_not_count(condor: CondorTools) -> None:
    """It may be of a login that has ended; the credmon makes another one."""
    ours = credd(condor)
    ours.store("cms", WHOLE, TOP)
    condor.serve()
    os.utime(condor.of_person / "cms.use", (1, 1))
    assert ours.query("cms", WHOLE) is Kept.WAITING
    condor.serve()
    assert ours.query("cms", WHOLE) is Kept.READY


def test_another_narrowing_is_told_apart(condor: CondorTools) -> None:
    """Scopes and audience are compared by the credd, as texts."""
    ours = credd(condor)
    ours.store("cms_h", ("a,b", "x"), TOP)
    assert ours.query("cms_h", ("a,b", "x")) is Kept.WAITING
    assert ours.query("cms_h", ("b,a", "x")) is Kept.OTHER
    assert ours.query("cms_h", WHOLE) is Kept.OTHER
    assert condor.stored()["cms_h"]["scopes"] == "a,b"


def test_no_secret_is_in_an_argument(condor: CondorTools) -> None:
    """It goes in by standard input."""
    credd(condor).store("cms", WHOLE, TOP)
    assert condor.calls() == [["condor_store_cred", "add-oauth", "-s", "cms", "-i", "-"]]


def test_a_host_that_is_not_trusted_is_explained(condor: CondorTools) -> None:
    """A name without its port is the usual mistake."""
    condor.configure(condor_settings(TRUSTED_VAULT_HOSTS="broker.example.org"))
    with pytest.raises(NotStored) as refused:
        credd(condor).store("cms", WHOLE, TOP)
    assert "untrusted host" in refused.value.sentence
    assert "broker.example.org:8200" in refused.value.remedy
    assert "a secret" not in f"{refused.value} {refused.value.remedy}"


def test_each_credd_has_its_own(condor: CondorTools) -> None:
    """One that is named outranks the one of the environment, however that is spelled."""
    one, two = credd(condor, "one"), credd(condor, _condor_credd_host="two")
    over = credd(condor, "one", _condor_CREDD_HOST="two")
    one.store("cms", WHOLE, TOP)
    assert (one.name, two.name) == ("one", "two")
    assert (two.query("cms", WHOLE), over.query("cms", WHOLE)) == (Kept.NOTHING, Kept.WAITING)


def test_a_service_may_store_for_somebody_else(condor: CondorTools) -> None:
    """With the variables that HTCondor's own storer has for that."""
    more = {"CONDOR_VAULT_STORER_USER": "bob@example.org", tools.OPTIONS_VARIABLE: "-n ap"}
    credd(condor, **more).store("cms", WHOLE, TOP)
    assert condor.calls()[0][1:] == [
        *("add-oauth", "-u", "bob@example.org", "-s", "cms", "-i", "-", "-n", "ap")
    ]


def test_a_failure_is_told_in_the_tools_last_words(condor: CondorTools, tmp_path: Path) -> None:
    """Made harmless for a terminal."""
    program = condor.bin / "condor_store_cred"
    program.write_text(
        "#!/bin/sh\necho Operation failed. >&2\necho 'CRED: \033[2J no credd' >&2\nexit 1\n"
    )
    for deed in (
        lambda: credd(condor).query("cms", WHOLE),
        lambda: credd(condor).store("cms", WHOLE, TOP),
    ):
        with pytest.raises(NotStored, match=r"cms: CRED: \?\[2J no credd\.$"):
            deed()


def test_a_tool_that_hangs_is_given_up(
    condor: CondorTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words."""
    monkeypatch.setattr(tools, "SECONDS", 0.05)
    (condor.bin / "condor_config_val").write_text("#!/bin/sh\nexec sleep 5\n")
    with pytest.raises(NotStored, match="condor_config_val did not end"):
        config_value("CREDD_HOST", credd(condor).environ)


def test_a_machine_without_htcondor_is_told(tmp_path: Path) -> None:
    """Which tool is missing, and where it would be."""
    with pytest.raises(LocalFileUnfit, match="condor_store_cred is not on this machine"):
        CondorCredd({"PATH": str(tmp_path)}).query("cms", WHOLE)


@pytest.mark.parametrize(
    ("set_to", "seconds"), [(None, 2400), ("600", 600), ("as long as may be", 2400)]
)
def test_the_credmons_minimum_is_known(
    condor: CondorTools, tmp_path: Path, set_to: str | None, seconds: int
) -> None:
    """Also where there is no HTCondor to ask."""
    condor.configure(condor_settings(CREDMON_OAUTH_TOKEN_MINIMUM=set_to))
    assert least_seconds(credd(condor).environ) == seconds
    assert least_seconds({"PATH": str(tmp_path)}) == 2400


def test_settings_are_read_and_unset_ones_are_none(condor: CondorTools) -> None:
    """Whatever else HTCondor has to say about them."""
    environ = credd(condor).environ
    assert config_value("SEC_CREDENTIAL_SWEEP_DELAY", environ) == "604800"
    assert config_value("CREDD_HOST", environ) is None
