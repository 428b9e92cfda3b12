"""The settings that the chart renders, read by the broker itself, and the pod that they are for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, cast

import pytest
import yaml

from credbroker import daemon, serving
from credbroker.api.health import Health
from credbroker.config.load import load, secret_files
from credbroker.domain.errors import BadSettings
from tests.integration.chart_world import (
    broker_of,
    changed,
    each_site,
    pod_of,
    render,
    settings_in,
    values_of,
    workload_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.api.outlook import Outlook
    from credbroker.config.schema import Settings
    from tests.integration.chart_world import Document


@pytest.fixture
def minimal() -> Document:
    """The least values that the chart takes."""
    return values_of("minimal")


@each_site
def test_the_broker_takes_the_settings_that_the_chart_renders(
    site: Document, tmp_path: Path
) -> None:
    """What the operator wrote and what the pod decides make one right tree, nothing lost."""
    settings = settings_in(render(site), tmp_path)
    wanted = site["settings"]
    assert settings.public_url == wanted["public_url"]
    wanted_vault = wanted.get("vault", {})
    assert settings.vault.addresses == wanted_vault.get("addresses", settings.vault.addresses)
    assert settings.issuers.keys() == wanted["issuers"].keys()
    (tmp_path / "99-again.yaml").write_text(yaml.safe_dump(wanted))
    assert load(tmp_path) == settings


def test_a_setting_that_the_broker_does_not_know_is_seen(minimal: Document, tmp_path: Path) -> None:
    """Only the broker's own reader knows its keys, and it is asked."""
    with pytest.raises(BadSettings, match=r"vault\.adresses"):
        settings_in(render(changed(minimal, "settings.vault.adresses", [])), tmp_path)


@pytest.mark.parametrize("text", ["012", "yes", "1e3", "null", "{{ .Values }}", "a: b # c", "ü"])
def test_texts_that_look_like_something_else_stay_texts(
    minimal: Document, tmp_path: Path, text: str
) -> None:
    """Neither YAML nor Helm's templates make anything else of a setting."""
    rendered = render(changed(minimal, "settings.issuers.wlcg.client_id", text))
    assert settings_in(rendered, tmp_path).issuers["wlcg"].client_id == text


def test_long_times_stay_what_they_are(minimal: Document, tmp_path: Path) -> None:
    """Helm counts in floating point; the broker still reads the seconds that were written."""
    rendered = render(changed(minimal, "settings.keeper.dormant_seconds", 123456789))
    assert settings_in(rendered, tmp_path).keeper.dormant_seconds == 123456789


@each_site
def test_each_file_that_the_settings_name_is_mounted(site: Document, tmp_path: Path) -> None:
    """Secrets, certificates and the audit folder are where the settings look for them."""
    rendered = render(site)
    settings = settings_in(rendered, tmp_path)
    broker = broker_of(rendered)
    writable = {one["mountPath"]: not one.get("readOnly") for one in broker["volumeMounts"]}
    assert [path for path, may in writable.items() if may] == [str(settings.audit.folder)]
    assert {str(file.parent) for file in files_named(settings)} <= writable.keys()


def files_named(settings: Settings) -> list[Path]:
    """Return every file that the settings name."""
    tls = settings.listen.tls
    assert tls is not None
    authorities = [settings.vault.ca_file, *(one.ca_file for one in settings.issuers.values())]
    secrets = [file for _, file in secret_files(settings)]
    given = [file for file in authorities if file is not None]
    return [tls.certificate_file, tls.key_file, *secrets, *given]


@each_site
def test_secrets_are_readable_by_the_broker_alone(site: Document) -> None:
    """Every Secret is a volume that others cannot read; none is in the environment or the values."""
    rendered = render(site)
    pod = pod_of(rendered)
    mounted = {volume["name"]: volume["secret"] for volume in pod["volumes"] if "secret" in volume}
    named = site["existingSecrets"] | {"openbao-ca": "openbao-certificate"}
    assert {name: one["secretName"] for name, one in mounted.items()}.items() <= named.items()
    assert site["existingSecrets"].keys() <= mounted.keys()
    assert {one["defaultMode"] for one in mounted.values()} == {0o440}
    assert [one["name"] for one in broker_of(rendered)["env"]] == ["POD_NAME"]
    assert "envFrom" not in broker_of(rendered)


@each_site
def test_the_pod_runs_serve_under_its_own_name(site: Document, tmp_path: Path) -> None:
    """The command is one that the broker takes, and its folder is the one with the settings."""
    broker = broker_of(render(site))
    program, command, *words = broker["command"]
    parser = argparse.ArgumentParser()
    daemon.add_arguments(parser)
    given = parser.parse_args(words)
    assert (program, command, given.replica) == ("credbroker", "serve", "$(POD_NAME)")
    mounts = {one["mountPath"]: one["name"] for one in broker["volumeMounts"]}
    assert mounts[str(given.config)] == "settings"


@each_site
def test_callers_and_probes_meet_the_port_that_the_broker_listens_on(
    site: Document, tmp_path: Path
) -> None:
    """Service, probes and settings agree on the port, and the probes on paths that there are."""
    rendered = render(site)
    broker = broker_of(rendered)
    (outside,) = rendered["Service"]["spec"]["ports"]
    ports = {one["name"]: one["containerPort"] for one in broker["ports"]}
    listen = settings_in(rendered, tmp_path).listen
    assert outside["port"] == ports[outside["targetPort"]] == listen.port == 8200
    answered = {route.path for route in Health(list, cast("Outlook", None)).routes()}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = broker[name]["httpGet"]
        assert (ports[probe["port"]], probe["scheme"]) == (8200, "HTTPS")
        assert probe["path"] in answered


def test_other_settings_mean_other_pods(minimal: Document) -> None:
    """A changed setting changes the pods' template, so that Kubernetes replaces them."""
    louder = changed(minimal, "settings.log.level", "debug")
    templates = [workload_of(render(one))["spec"]["template"] for one in (minimal, louder)]
    assert templates[0]["metadata"] != templates[1]["metadata"]
    assert templates[0]["spec"] == templates[1]["spec"]


def test_the_account_that_openbao_knows_the_broker_by_shows_its_own_audience(
    tmp_path: Path,
) -> None:
    """A token for anybody else is not handed out, and it lasts for an hour."""
    rendered = render(values_of("behind-a-balancer"))
    (account,) = [one for one in pod_of(rendered)["volumes"] if one["name"] == "account"]
    (source,) = account["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "https://vault.example.org"
    assert source["serviceAccountToken"]["expirationSeconds"] == 3600
    login = settings_in(rendered, tmp_path).vault.kubernetes
    assert login is not None
    assert (login.role, login.mount) == ("credbroker", "kubernetes-grid")
    assert str(login.token_file) == "/etc/credbroker/account/token"


def test_a_stopped_pod_has_the_time_that_the_broker_may_need() -> None:
    """Callers, refreshes in flight and the spool are waited for; the pause before counts, too."""
    pod = pod_of(render(values_of("minimal")))
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] == 200
    assert pause + serving.STOP_ANSWER_SECONDS + 120 + 30 + serving.SPOOL_SECONDS < 200
