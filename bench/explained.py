"""What each scenario is about, and why a bar is missed where one is."""

from __future__ import annotations

SCENARIOS = {
    "refreshes": (
        "The whole engine (read, claim, post, successor, audit trail, check of the token) over a real"
        " OpenBao with raft on disk, and an issuer in another program over TLS; everything shares"
        " the machine."
    ),
    "crowd": (
        "A thousand callers ask three brokers at once for the same token of a login that no broker"
        " has used yet."
    ),
    "size": (
        "As many grants and leases as a large community has, on a store in memory that keeps the"
        " records as Vault does; time is passed in, so a day takes seconds."
    ),
    "poison": (
        "One grant in twenty cannot be read, is dead at its issuer or names an issuer that is not"
        " served, and one issuer in twenty never answers; time is passed in here, too."
    ),
    "restart": (
        "`credbroker serve` is killed and started again over an OpenBao full of fresh grants, read"
        " from a folder that was filled beforehand."
    ),
}
"""By name, in the order in which they are taken and shown."""

_READS = (
    "the engine asks OpenBao about 2.5 times for each refresh where the script asks twice: it looks with"
    " each post that Vault was not set back to a snapshot (one look serves all that wait for it);"
    " then it writes two audit lines to disk, each before it goes on, and checks the token. OpenBao"
    " and broker pay for that with CPU time on the same two cores."
)

EXPLAINED = {
    "refreshes with 8 in flight": _READS,
    "refreshes with 16 in flight": _READS,
    "refreshes with 64 in flight": _READS,
}
"""For figures that miss their bar: why, in a sentence."""
