"""What each scenario is about, and why a bar is missed where one is."""

from __future__ import annotations

SCENARIOS = {
    "refreshes": (
        "The whole engine (read, claim, post, successor, audit trail, check of the token) over a real"
        " OpenBao with raft on disk, and an issuer in another program over TLS; everything shares"
        " the machine."
    ),
    "reads": (
        "Access tokens that are at hand, given out by `credbroker serve` on HTVault's path for them,"
        " each with a lease of a week made from its person's login; everything shares the machine."
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
    "edge": (
        "`credbroker credmon` on an access point's folder, with real files as root, and a server in"
        " another program over TLS that gives out one token after the other and is no limit itself;"
        " then a job's agent from `credbroker.pyz`; everything shares the machine."
    ),
    "signing": (
        "Tokens for files by the thousand at a request, signed by what serves"
        " `/api/v1/communities/{name}/tokens:files`, with its audit trail on disk."
    ),
    "issuer": (
        "`credbroker serve` as the issuer of a community, over a real OpenBao, asked at its endpoints"
        " as services ask them. Ours signs each token anew and has it on the audit trail, on disk,"
        " before it answers, but where something else is said."
    ),
    "cli": (
        "`credbroker token` and its peers as whole programs, from their start to their end, in turn;"
        " the login is a lease file of its person's, and the server is another program."
    ),
}
"""By name, in the order in which they are taken and shown."""

_READS = (
    "the engine asks OpenBao about 2.5 times for each refresh where the script asks twice: it looks with"
    " each post that Vault was not set back to a snapshot (one look serves all that wait for it);"
    " then it writes two audit lines to disk, each before it goes on, and checks the token. OpenBao"
    " and broker pay for that with CPU time on the same two cores."
)

_ONE_CORE = (
    "a broker is one Python process and works on one core; OpenBao works on both. Nearly half of"
    " its CPU time for a read goes into HTTP and TLS, a quarter into knowing the lease and judging what"
    " it may get, a seventh into the line of the audit trail. More brokers, on one host or on several, share the reads:"
    " what two do on these same cores stands beside."
)

_ONE_INTERPRETER = (
    "the credmon is one Python process and is bound by its interpreter: of about 1.4 ms of CPU time"
    " for a credential a third goes into the kernel (two flushes, of the file and of its folder, and"
    " the turns that the writing threads take), a seventh into the first look at all requests, a fifth"
    " into holding each token against what was asked for; the disk alone would flush several thousand"
    " files a second. The peer flushes nothing and checks no token. Where servers take their time, as"
    " they do, it is the other way round by two orders."
)

_OUR_OWN_CODE = (
    "no single part stands out any more: of the CPU time for an answer a third goes into HTTP, a seventh"
    " into the signature, an eighth into the line of the audit trail and its way to the disk and back,"
    " which no peer has; the rest is who asks, what is allowed, and claims. All of it runs on one core."
)

_SHARED_CORES = (
    "two cores are all there is, for the broker, `wrk`, OpenBao and whatever else the machine did during"
    " this run; its load is said below."
)

EXPLAINED = {
    "batches of tokens signed with ES256 on one core": (
        "a signature takes as long as a few dozen lines of Python do. Of the rest two fifths are the line"
        " of the audit trail, its hashes and the disk, a sixth the reading and judging of the entry, a"
        " fifth the claims and the token made of them. The least that signs and writes down, which checks"
        " and decides nothing, stands below; ours takes a tenth to a sixth longer. Programs and rounds lie"
        " on both sides of the bar."
    ),
    "batches of tokens signed with RS256 on one core": (
        "beside a signature of a quarter to half of a millisecond stand 20 to 30 µs of everything else,"
        " nearly a tenth: the bar lies there, and the rounds of a run lie on both sides of it."
    ),
    "batches signed with RS256 in two threads on two cores": (
        "the peer's programs share nothing. Two threads of one program pass through one lock for all that is"
        " no signature, and at the beginning and the end of each; against one thread it is the figure below."
    ),
    "tokens with ES256, against oidc-provider": _OUR_OWN_CODE,
    "tokens with ES256, against Authlib": (
        "the peer writes nothing down. What one route of aiohttp reaches that signs and has its line on disk"
        " stands below, with its own ratio to this peer: on this HTTP library the bar is out of reach for"
        " whoever keeps a trail."
    ),
    "tokens with ES256, against the least that signs and writes down": (
        "who asks, what is allowed and for how long, and the claims made of it are all that the peer leaves"
        " out; runs gave 0.61 to 0.93. What makes the trail quicker makes the peer quicker still."
    ),
    "tokens with RS256, against the signature alone": (
        "beside each signature of a third of a millisecond stands as much CPU time for the rest of the answer, on"
        " the same core. What one route of aiohttp reaches that signs and has its line on disk stands below: on"
        " this HTTP library one core gives no more. Threads would sign on the other core, but Python's lock passes"
        " to and fro for each token: tried side by side, one brought a tenth less and two a sixth more, where a"
        " second worker brings two thirds. So threads are for batches."
    ),
    "exchanges, against oidc-provider": _OUR_OWN_CODE,
    "refreshes that give the same refresh token again, against oidc-provider": _OUR_OWN_CODE,
    "refreshes with rotation, against check-and-set alone": (
        "before the successor is written the token is signed and put on the audit trail, on disk; broker,"
        " OpenBao and `wrk` share two cores."
    ),
    "two workers with ES256, against one": _SHARED_CORES,
    "two workers with RS256, against one": (
        "one worker with `wrk`, OpenBao and the kernel keeps more than one of the two cores busy already. What"
        " both cores' time holds at that price for an answer stands below, and is the next figure's limit: where"
        " it is less than the bar, no number of workers can hold that."
    ),
    "10,000 credentials due at once": _ONE_INTERPRETER,
    "10,000 credentials due at once, from a server that takes 100 ms": _ONE_INTERPRETER,
    "bearer reads, against OpenBao's with its default policy": _ONE_CORE,
    "bearer reads, against OpenBao's without that policy": _ONE_CORE,
    "refreshes with 8 in flight": _READS,
    "refreshes with 16 in flight": _READS,
    "refreshes with 64 in flight": _READS,
}
"""For figures that miss their bar: why, in a sentence."""
