"""Each alert fires when it should, and none does while all is well; Prometheus's own tool judges."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import yaml

from tests.house.test_alerts import RULES, alerts

MINUTES = 60
WELL: dict[str, str] = {
    **{
        f'credbroker_{name}{{instance="{at}"}}': f"{value}x{MINUTES}"
        for at in "ab"
        for name, value in {
            "replica_ready": 1, "replica_clock_off_seconds": 0.2, "workers_silent": 0,
            "keeper_warm": 1, "vault_answering": 1, "vault_halted": 0,
            "spool_waiting_entries": 0, "audit_lag_seconds": 0,
        }.items()
    },
    **{
        f'credbroker_{name}{{instance="{at}",issuer="cms"}}': f"{value}x{MINUTES}"
        for at in "ab"
        for name, value in {
            "issuer_open": 1, "issuer_answering": 1, "issuer_client_accepted": 1,
            "issuer_braked": 0, "issuer_horizon_seconds": 1800, "renewals_due": 3,
        }.items()
    },
    **{
        f'credbroker_grants{{instance="a",issuer="cms",state="{state}"}}': f"{count}x{MINUTES}"
        for state, count in {"ready": 900, "claimed": 20, "in_doubt": 1, "paused": 2}.items()
    },
    'credbroker_events_total{event="refresh",issuer="cms",state="ready"}': f"0+90x{MINUTES}",
    'credbroker_events_total{event="refresh_failed",issuer="cms",state="ready"}':
        f"0+3x{MINUTES}",
    **{
        f'credbroker_{server}_request_seconds_bucket{{{labels}instance="a",le="{le}"}}':
            f"0+100x{MINUTES}"
        for server, labels in (("vault", ""), ("issuer", 'issuer="cms",'))
        for le in ("0.25", "1.0", "30.0", "+Inf")
    },
}  # fmt: skip
A = 'instance="a"'
CMS = 'issuer="cms"'
A_CMS = f"{A},{CMS}"
ALL = f"x{MINUTES}"
JUMP = f"0x50 10x{MINUTES - 51}"
"""Something happened ten times in the last minutes."""


def both(name: str, value: str) -> dict[str, str]:
    """Return the series of both replicas."""
    return {f'credbroker_{name}{{instance="{at}",{CMS}}}': value for at in "ab"}


def slow(server: str, labels: str) -> dict[str, str]:
    """Return what it is like when no answer comes within a second."""
    return {
        f'credbroker_{server}_request_seconds_bucket{{{labels}{A},le="{le}"}}': "0" + ALL
        for le in ("0.25", "1.0")
    }


CAUSES: dict[str, dict[str, str]] = {
    "CredbrokerAbsent": {
        f'credbroker_replica_ready{{instance="{at}"}}': "1x50 stale" for at in "ab"
    },
    "CredbrokerReplicaNotReady": {f"credbroker_replica_ready{{{A}}}": "0" + ALL},
    "CredbrokerClockDrifts": {f"credbroker_replica_clock_off_seconds{{{A}}}": "-31" + ALL},
    "CredbrokerWorkersSilent": {f"credbroker_workers_silent{{{A}}}": "1" + ALL},
    "CredbrokerKeeperCold": {f"credbroker_keeper_warm{{{A}}}": "0" + ALL},
    "CredbrokerIssuerDown": both("issuer_answering", "0" + ALL),
    "CredbrokerOutageHorizonNear": {f"credbroker_issuer_open{{{A_CMS}}}": "0" + ALL},
    "CredbrokerIssuerSlow": slow("issuer", CMS + ","),
    "CredbrokerClientRejected": {f"credbroker_issuer_client_accepted{{{A_CMS}}}": "0" + ALL},
    "CredbrokerIssuerBraked": {f"credbroker_issuer_braked{{{A_CMS}}}": "1" + ALL},
    "CredbrokerVaultDown": {
        f'credbroker_vault_answering{{instance="{at}"}}': "0" + ALL for at in "ab"
    },
    "CredbrokerVaultHalted": {f"credbroker_vault_halted{{{A}}}": "1" + ALL},
    "CredbrokerVaultSlow": slow("vault", ""),
    "CredbrokerSpoolWaiting": {f"credbroker_spool_waiting_entries{{{A}}}": "1" + ALL},
    "CredbrokerGrantsInDoubt": {f'credbroker_grants{{{A_CMS},state="in_doubt"}}': "6" + ALL},
    "CredbrokerGrantsPaused": {f'credbroker_grants{{{A_CMS},state="paused"}}': "6" + ALL},
    "CredbrokerLoginsLost": {
        f'credbroker_events_total{{event="refresh_failed",{CMS},state="lost"}}': JUMP
    },
    "CredbrokerGrantDamaged": {'credbroker_grants{instance="b",state="damaged"}': "1" + ALL},
    "CredbrokerRefreshesFail": {
        f'credbroker_events_total{{event="refresh_failed",{CMS},state="ready"}}': "0+60" + ALL
    },
    "CredbrokerRenewalsBehind": {f"credbroker_renewals_due{{{A_CMS}}}": "200" + ALL},
    "CredbrokerClaimsLeftBehind": {
        f'credbroker_events_total{{event="claim_left_behind",{CMS}}}': JUMP
    },
    "CredbrokerAuditBehind": {f"credbroker_audit_lag_seconds{{{A}}}": "11" + ALL},
    "CredbrokerSecretReused": {f'credbroker_events_total{{event="secret_reused",{A}}}': JUMP},
}
"""What brings each alert about, in place of what is so while all is well."""


def case(name: str, changes: dict[str, str], fires: list[str]) -> dict[str, Any]:
    """Return a test for promtool: in such a world these alerts fire, and no others."""
    world = {_sorted(series): values for series, values in WELL.items()}
    world |= {_sorted(series): values for series, values in changes.items()}
    expected = [{"labels": f'{{alertname="{one}"}}', "value": 1} for one in fires]
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in world.items()],
        "promql_expr_test": [
            {
                "expr": 'sum by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{MINUTES - 1}m",
                "exp_samples": expected,
            }
        ],
    }


def _sorted(series: str) -> str:
    """Write the labels in order, so that a change meets what it is to replace."""
    name, _, labels = series.rstrip("}").partition("{")
    return f"{name}{{{','.join(sorted(labels.split(',')))}}}"


async def test_every_alert_fires_by_its_cause_alone_and_none_while_all_is_well(
    tmp_path: Path,
) -> None:
    """Some replicas, one issuer, an hour; each cause brings its own alert and no other."""
    assert CAUSES.keys() == alerts().keys()
    cases = [case("all is well", {}, [])]
    cases += [case(name, changes, [name]) for name, changes in CAUSES.items()]
    file = tmp_path / "tests.yaml"
    content = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    assert await promtool("test", "rules", str(file)) == (0, "")


async def test_prometheus_takes_the_rules() -> None:
    """Sentences and all."""
    status, said = await promtool("check", "rules", str(RULES))
    assert (status, said) == (0, "")


async def promtool(*words: str) -> tuple[int, str]:
    """Run it; return its status, and what it said if it found something."""
    child = await asyncio.create_subprocess_exec(
        "promtool", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await child.communicate()
    status = child.returncode or 0
    return status, said.decode() if status else ""
