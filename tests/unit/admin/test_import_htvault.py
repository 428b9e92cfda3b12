"""An HTVault's settings become ours, repeatably, and what could not is said."""

from __future__ import annotations

import argparse
import io
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from credbroker.admin import config_check
from credbroker.admin.desk import Desk
from credbroker.config.load import load, read_secret, secret_files
from credbroker.domain.errors import BadSettings, LocalFileUnfit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.unit.admin.htvault import SECRETS, write_htvault
from tests.unit.config.place import right, write

if TYPE_CHECKING:
    from pathlib import Path


KEYS = st.sampled_from(
    ["issuers", "kerberos", "ssh", "cluster", "ratelimits", "name", "delete", "clientid", "url",
     "roles", "scopes", "secret", "kerbservice", "policydomain", "credclaim", "callbackmode"]
)  # fmt: skip


@dataclass
class Said:
    """What a run of the command left behind."""

    code: int
    out: str
    err: str


def run(*words: object) -> Said:
    """Run `config import-htvault` as the command line does."""
    parser = argparse.ArgumentParser()
    config_check.add_arguments(parser)
    out, err = io.StringIO(), io.StringIO()
    desk = Desk(FakeClock(), FakeEntropy(), out, err)
    args = parser.parse_args(["import-htvault", *map(str, words)])
    return Said(config_check.run(args, desk), out.getvalue(), err.getvalue())


def issuers_in(said: Said) -> dict[str, Any]:
    """Return the issuers that were printed."""
    found: dict[str, Any] = yaml.safe_load(said.out)["issuers"]
    return found


def test_what_is_written_is_taken_by_the_broker(tmp_path: Path) -> None:
    """Beside a file with what an HTVault does not know; every secret is where the settings say."""
    base = right(tmp_path)
    del base["issuers"]
    config = write(tmp_path, a=base)
    assert run(write_htvault(tmp_path), "--out", config / "htvault.yaml").code == 0
    settings = load(config)
    assert list(settings.issuers) == ["egi", "cern", "lab"]
    egi, cern, lab = settings.issuers.values()
    assert (egi.url, egi.client_id) == ("https://egi.example.org/", "egi-client")
    assert (egi.credkey_claim, cern.credkey_claim, lab.credkey_claim) == (
        "email", "wlcg.credkey", "sub",
    )  # fmt: skip
    assert (egi.confirm, cern.confirm, lab.confirm) == ("device", "page", "page")
    assert list(egi.roles) == ["default", "pilot"]
    assert "storage.modify:/data" in egi.roles["default"].scopes
    assert cern.roles["default"].scopes[:2] == ["openid", "offline_access"]
    assert settings.ssh.registration
    (kerberos,) = settings.kerberos
    assert (kerberos.realms, kerberos.domain) == (["EXAMPLE.ORG"], "@example.org")
    assert kerberos.issuers == ["egi", "cern"]
    assert all(read_secret(file, kind) for kind, file in secret_files(settings))
    assert len(secret_files(settings)) == 2 + len(SECRETS)
    assert lab.client_secret_file is None


def test_secrets_are_in_private_files_and_nowhere_else(tmp_path: Path) -> None:
    """Neither in the settings nor in what is printed, also not when files are compared."""
    folder, file = write_htvault(tmp_path), tmp_path / "htvault.yaml"
    runs = [run(folder, "--out", file), run(folder, "--diff", file), run(folder)]
    said = file.read_text() + "".join(one.out + one.err for one in runs)
    for name, secret in SECRETS.items():
        kept = tmp_path / "secrets" / f"{name}-client"
        assert kept.read_text() == f"{secret}\n"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert secret not in said
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_the_same_settings_give_the_same_bytes(tmp_path: Path) -> None:
    """So a second import changes nothing, and a comparison says so with exit code 0."""
    folder, file = write_htvault(tmp_path), tmp_path / "htvault.yaml"
    run(folder, "--out", file)
    first = file.read_bytes()
    run(folder, "--out", file)
    assert file.read_bytes() == first
    compared = run(folder, "--diff", file)
    assert (compared.code, compared.out) == (0, "")


def test_a_difference_is_shown_line_by_line(tmp_path: Path) -> None:
    """With exit code 1, and nothing is written."""
    folder, file = write_htvault(tmp_path), tmp_path / "htvault.yaml"
    run(folder, "--out", file)
    before = file.read_bytes()
    write_htvault(tmp_path, **{"40-more": "issuers: [{name: lab, credclaim: eppn}]"})
    compared = run(folder, "--diff", file)
    assert compared.code == 1
    assert "+    credkey_claim: eppn" in compared.out.splitlines()
    assert file.read_bytes() == before


def test_another_secret_is_a_difference_too(tmp_path: Path) -> None:
    """Its file is named."""
    folder, file = write_htvault(tmp_path), tmp_path / "htvault.yaml"
    run(folder, "--out", file)
    write_htvault(tmp_path, **{"90-new": "issuers: [{name: egi, secret: another}]"})
    compared = run(folder, "--diff", file)
    assert (compared.code, compared.out) == (1, "")
    assert f"{tmp_path}/secrets/egi-client: the client secret is another one" in compared.err


def test_all_is_new_where_nothing_was_written_yet(tmp_path: Path) -> None:
    """A comparison with a file that is not there shows all of it and makes nothing."""
    compared = run(write_htvault(tmp_path), "--diff", tmp_path / "htvault.yaml")
    assert compared.code == 1
    assert "+issuers:" in compared.out.splitlines()
    assert not (tmp_path / "htvault.yaml").exists()
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize(
    "note",
    [
        "issuer egi: logins end on the issuer's own page",
        "issuer cern: callbackmode noconfirm",
        "issuer cern, role default: the scope offline_access is asked for, too.",
        "issuer cern, role default: scope storage.read: not carried: A storage path must begin",
        "kerberos cern: the realm EXAMPLE.ORG is a guess",
        "kerberos lab: not carried: nothing says which realm's people may log in.",
        "ssh: the keys themselves are not carried",
        "ratelimits global: not carried",
        "People know the service as htvault.example.org: let public_url say that.",
    ],
)
def test_what_could_not_be_carried_over_is_said(tmp_path: Path, note: str) -> None:
    """On standard error, while the settings alone are printed."""
    said = run(write_htvault(tmp_path))
    assert note in said.err
    assert note not in said.out


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("issuers: [{name: egi, colour: red}]", "issuer egi: colour: not carried"),
        ("plugins: []", "top level: plugins: not carried"),
        ("issuers: [{name: half, url: 'https://x.test'}]", "issuer half: not carried: it has no c"),
        ("issuers: [{name: lab, kerbservice: gone}]", "issuer lab: there is no kerberos service g"),
        ("issuers: [{name: 'a b', clientid: x, url: y, roles: [{name: z}]}]", "its name does not"),
        ("issuers: [{name: lab, roles: [{name: 'a b'}]}]", "role a b: not carried"),
    ],
)
def test_what_is_not_known_is_said(tmp_path: Path, text: str, note: str) -> None:
    """Whether it is a new key or a mistake."""
    assert note in run(write_htvault(tmp_path, **{"50-more": text})).err


def test_a_scope_that_ends_in_a_colon_is_read_as_htvault_reads_it(tmp_path: Path) -> None:
    """YAML takes it for a mapping to nothing; scopes may also stand in one text, or in two files."""
    roles = "issuers: [{name: lab, roles: [{name: default, scopes: [wlcg.groups:]}, {name: two, scopes: 'openid,x'}]}]"
    found = issuers_in(run(write_htvault(tmp_path, **{"50-more": roles})))["lab"]["roles"]
    assert found["default"]["scopes"] == [
        "openid", "offline_access", "storage.read:/lab", "wlcg.groups:",
    ]  # fmt: skip
    assert found["two"]["scopes"] == ["offline_access", "openid", "x"]


def test_a_deleted_issuer_is_gone(tmp_path: Path) -> None:
    """Also one that was never there; its namesake in a later file is new."""
    gone = "issuers: [{name: never, delete: yes}]"
    found = issuers_in(run(write_htvault(tmp_path, **{"50-more": gone})))
    assert list(found) == ["egi", "cern", "lab"]
    again = "issuers: [{name: old, clientid: new, url: 'https://n.test', roles: [{name: default}]}]"
    found = issuers_in(run(write_htvault(tmp_path, **{"60-more": again})))
    assert found["old"]["client_id"] == "new"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("issuers: {name: x}", "issuers: this is of another kind than in an earlier file."),
        ("- a", "the settings must be a mapping."),
        ("issuers: [", "line 1: "),
        ("issuers: [{clientid: x}]", "issuers: this must be a list of items"),
        ("\x00", "this is not YAML."),
    ],
)
def test_settings_that_are_none_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    """In one sentence that shows nothing of what stands in them."""
    with pytest.raises(BadSettings) as refused:
        run(write_htvault(tmp_path, **{"50-more": text}))
    assert sentence in refused.value.sentence


PIECES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["a", "egi", "storage.read:", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(trees=st.lists(st.dictionaries(KEYS, PIECES, max_size=5), min_size=1, max_size=3))
def test_whatever_stands_there_is_carried_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, trees: list[dict[str, Any]]
) -> None:
    """Nothing that YAML can say ends in a stack trace, and twice gives the same."""
    folder = tmp_path_factory.mktemp("fuzz")
    for number, tree in enumerate(trees):
        (folder / f"{number}.yaml").write_text(yaml.safe_dump(tree))
    try:
        said = run(folder)
    except BadSettings:
        return
    assert run(folder) == said


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """Rather than settings without issuers written."""
    with pytest.raises(BadSettings, match=r"there is no \*\.yaml file here"):
        run(tmp_path)


def test_secrets_need_a_folder_to_go_to(tmp_path: Path) -> None:
    """And the settings are not written without them."""
    with pytest.raises(LocalFileUnfit, match="no folder for secrets"):
        run(write_htvault(tmp_path), "--out", tmp_path / "nowhere" / "htvault.yaml")
