"""Settings of an HTVault as sites write them, spread over files as its own manual advises."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = {"egi": "a-canary-secret-of-egi", "cern": "a-canary-secret-of-cern"}
FILES = {
    "10-cluster.yaml": """\
cluster:
  name: htvault.example.org
  master: htvault1.example.org
  peer1: htvault2.example.org
  peer2: htvault3.example.org
""",
    "10-kerberos.yaml": """\
kerberos:
  - name: cern
    ldapurl: ldaps://ldap.example.org
    ldapdn: OU=Users,DC=example,DC=org
    ldapattr: cn
    policydomain: "@example.org"
  - name: lab
    ldapurl: ldaps://ldap.lab.example
    ldapdn: o=lab
    ldapattr: uid
""",
    "10-limits.yaml": """\
ratelimits:
  - name: global
    rate: 360
    interval: 5m
    block_interval: 5m
ssh:
  self-registration: allowed
""",
    "20-issuers.yaml": """\
issuers:
  - name: egi
    clientid: egi-client
    url: https://egi.example.org/
    credclaim: email
    roles:
      - name: pilot
        scopes: [offline_access, "storage.read:/", "compute.create"]
      - name: default
        scopes: [profile,email,offline_access,wlcg,wlcg.groups,"storage.read:/","storage.modify:/data"]
  - name: cern
    clientid: cern-client
    url: https://cern.example.org
    callbackmode: noconfirm
    credclaim: wlcg.credkey
    kerbservice: cern
    roles:
      - name: default
        scopes: [profile,org.cilogon.userinfo,storage.read:,storage.create:]
  - name: old
    clientid: old-client
    url: https://old.example.org
    roles: [{name: default, scopes: [openid]}]
""",
    "30-lab.yaml": """\
issuers:
  - name: lab
    clientid: lab-client
    url: https://lab.example.org/
    callbackmode: direct
    roles: [{name: default, scopes: [openid, offline_access, "storage.read:/lab"]}]
  - name: old
    delete: true
""",
    "80-secrets.yaml": "".join(
        ["issuers:\n", *(f"  - name: {name}\n    secret: {one}\n" for name, one in SECRETS.items())]
    ),
}


def write_htvault(folder: Path, **changes: str) -> Path:
    """Write the files into `folder`/htvault, with more or others by their stems; return it."""
    place = folder / "htvault"
    place.mkdir(exist_ok=True)
    files = FILES | {f"{stem}.yaml": text for stem, text in changes.items()}
    for name, text in files.items():
        (place / name).write_text(text)
    return place
