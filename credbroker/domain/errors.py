"""Everything that can go wrong, by who must act on it.

Four families: `Refused` (the asker), `GrantLost` (the person: log in again), `Unavailable`
(nobody: try later), `Misconfigured` (the operator). A leaf carries one sentence free of secrets,
what to do about it, and a short stable word for programs. HTTP statuses, exit codes and retry
rules live in tables elsewhere that read these classes; a test walks all leaves and fails if a
table lacks one.
"""

from __future__ import annotations

from typing import Iterator


class CredbrokerError(Exception):
    """Something went wrong that a person or a program can act on.

    `code` is the stable word for programs, `sentence` what happened, `remedy` what to do;
    `request_id` finds it in the broker's log, once a request is known.
    """

    code = "error"
    request_id: str | None = None
    default_remedy = "Try again; if it stays so, tell the operator the request id."

    def __init__(self, sentence: str, remedy: str | None = None) -> None:
        """Say what happened in one sentence that holds no secret and no foreign text."""
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy or self.default_remedy


class Refused(CredbrokerError):
    """The asker must change the request, or has no right to it."""


class GrantLost(CredbrokerError):
    """The person must log in again."""

    default_remedy = "Log in again with: credbroker login"


class Unavailable(CredbrokerError):
    """Nobody did wrong; the same request may succeed later."""

    default_remedy = "Try again in a moment. Tokens already delivered stay valid until they expire."


class Misconfigured(CredbrokerError):
    """The operator must mend a setting."""

    default_remedy = "The operator must mend the settings named here."


class Malformed(Refused):
    """The request cannot be read."""

    code = "malformed"
    default_remedy = "Mend the request; /api/v1/openapi.json describes what is expected."


class NotFound(Refused):
    """There is no such thing here."""

    code = "not_found"
    default_remedy = "See the names with: credbroker login --list"


class LeaseUnknown(Refused):
    """No lease was shown, or one that this broker never gave out."""

    code = "lease_unknown"
    default_remedy = "Log in again with: credbroker login"


class LeaseEnded(Refused):
    """The lease was good once and is over: its time ran out, or somebody ended it."""

    code = "lease_ended"
    default_remedy = "Log in again with: credbroker login"


class OutsideCeiling(Refused):
    """More was asked for than the lease, the grant or the role allows."""

    code = "outside_ceiling"
    default_remedy = "Ask for less, or log in with a role that allows it."


class NotAllowed(Refused):
    """This kind of lease may not do this at all."""

    code = "not_allowed"
    default_remedy = "Use the lease of a login; a job's lease can only fetch the job's tokens."


class IssuerGaveLess(Refused):
    """The issuer's answer lacks some of what was asked for."""

    code = "issuer_gave_less"
    default_remedy = (
        "Ask for what the issuer grants you, or ask its operators for the missing right."
    )


class IssuerRefusedRequest(Refused):
    """The issuer will not give this scope or audience to this client."""

    code = "issuer_refused"
    default_remedy = "Ask for another scope or audience, or ask the issuer's operators for it."


class UnknownClient(Refused):
    """A service showed no client id and secret that go together here."""

    code = "unknown_client"
    default_remedy = "Check the client id and secret with whoever runs this broker."


class ClientNotAllowed(Refused):
    """This client may not use this kind of grant."""

    code = "client_not_allowed"
    default_remedy = "Have the operator name the grant in the client's settings, or use another."


class ScopeRefused(Refused):
    """A client or person may not have this scope signed, or nobody may in this form."""

    code = "scope_refused"
    default_remedy = "See why, and what would be allowed, with: credbroker policy explain"


class AudienceRefused(Refused):
    """A client or person may not have tokens signed for this audience."""

    code = "audience_refused"
    default_remedy = "See why, and what would be allowed, with: credbroker policy explain"


class TokenRefused(Refused):
    """A token that was shown as a grant is not good, not good any more, or somebody else's."""

    code = "token_refused"
    default_remedy = "Get a new token from this issuer and use that."


class NoRevocation(Refused):
    """The issuer offers no way to revoke a refresh token."""

    code = "no_revocation"
    default_remedy = "Ask the issuer's operators to end the login there."


class TooSoonExpired(Refused):
    """No token can be had that lives as long as the caller needs."""

    code = "expires_too_soon"
    default_remedy = "Ask with a smaller minimum lifetime."


class LoginDenied(GrantLost):
    """The person said no, or somebody else's identity came back."""

    code = "login_denied"


class LoginExpired(GrantLost):
    """Nobody confirmed the login in time."""

    code = "login_expired"


class LoginNeeded(GrantLost):
    """There is no usable grant: none was made, the issuer ended it, or the person logged out."""

    code = "login_needed"


class GrantPaused(GrantLost):
    """The issuer wants something of the person or its operators first; the grant is kept."""

    code = "grant_paused"


class GrantInDoubt(GrantLost):
    """A refresh may or may not have reached the issuer; asking again could revoke more."""

    code = "grant_in_doubt"


class IssuerUnreachable(Unavailable):
    """The issuer does not answer."""

    code = "issuer_unreachable"


class IssuerFailed(Unavailable):
    """The issuer answers, but failed on this request."""

    code = "issuer_failed"


class IssuerMisbehaved(Unavailable):
    """The issuer answered something that does not verify or cannot be understood."""

    code = "issuer_misbehaved"
    default_remedy = "The operator should look at the issuer; the broker's log has the request id."


class StoreUnavailable(Unavailable):
    """OpenBao or Vault does not answer, or is sealed."""

    code = "store_unavailable"


class StoreUnclear(StoreUnavailable):
    """A write may or may not have been taken; only a read can tell."""

    code = "store_unclear"


class StoreRewound(Unavailable):
    """OpenBao or Vault answers with an older state than was seen before; nothing is refreshed."""

    code = "store_rewound"
    default_remedy = (
        "The operator must sort the logins with: credbroker admin restored."
        " Tokens already delivered stay valid until they expire."
    )


class SpoolFull(Unavailable):
    """There is no free room left in the spool of this host."""

    code = "spool_full"
    default_remedy = "OpenBao/Vault must come back, or the operator must make the spool larger."


class IssuerSpared(Unavailable):
    """The issuer is in trouble or at its limit, so it is not asked for this now."""

    code = "issuer_spared"


class LegacyUnavailable(Unavailable):
    """The HTVault that an issuer had before does not answer, or may be wrong in what it refuses."""

    code = "legacy_unavailable"


class KeysMissing(Unavailable):
    """This replica has no signing key that it may use now."""

    code = "keys_missing"
    default_remedy = "Try again in a moment; another replica may answer."


class AuditUnavailable(Unavailable):
    """The audit trail cannot be written, so nothing may be handed out."""

    code = "audit_unavailable"
    default_remedy = "The operator must make room for, or mend, the audit folder."


class ClockOff(Unavailable):
    """This replica's clock is wrong, so it would take every new token for expired or too early."""

    code = "clock_off"
    default_remedy = (
        "Try again: another replica may answer. The operator must set the clock of this one's host."
    )


class BrokerUnreachable(Unavailable):
    """The client cannot reach the broker."""

    code = "broker_unreachable"
    default_remedy = (
        "Check the broker's address and the network; a token file already there is kept."
    )


class BrokerFault(Unavailable):
    """Something went wrong inside the broker that nobody foresaw."""

    code = "broker_fault"
    default_remedy = "Try again; if it stays so, give the operator the request id."


class Busy(Unavailable):
    """The answer is being worked on and was not ready in time."""

    code = "busy"


class TooManyRequests(Unavailable):
    """An address asks too often without a lease that is known; `wait_seconds` until it may again."""

    code = "too_many_requests"
    default_remedy = "Try again in a moment, and not so often."

    def __init__(
        self, sentence: str, remedy: str | None = None, *, wait_seconds: float = 0.0
    ) -> None:
        """Say what happened in one sentence, and how long to wait."""
        super().__init__(sentence, remedy)
        self.wait_seconds = wait_seconds


class BadSettings(Misconfigured):
    """A settings file is wrong; the sentence names file and key."""

    code = "bad_settings"


class ClientRejected(Misconfigured):
    """The issuer does not accept the broker's own client id or secret."""

    code = "client_rejected"
    default_remedy = "The operator must check client_id and client_secret_file of this issuer."


class StoreMisconfigured(Misconfigured):
    """OpenBao or Vault refuses the broker, or its mount is not safe to use."""

    code = "store_misconfigured"
    default_remedy = "The operator must check the broker's AppRole, policy and mount."


class RecordDamaged(StoreMisconfigured):
    """A record in OpenBao or Vault cannot be read."""

    code = "record_damaged"
    default_remedy = "Other records are not affected. Log in again to replace this one."


class LocalFileUnfit(Misconfigured):
    """A file on this machine cannot be used or written as it is."""

    code = "local_file_unfit"
    default_remedy = "Mend the file or folder named here."


def leaves(family: type[CredbrokerError] = CredbrokerError) -> Iterator[type[CredbrokerError]]:
    """Walk every concrete kind of error (those with a `code` of their own) below `family`."""
    for child in family.__subclasses__():
        if "code" in vars(child):
            yield child
        yield from leaves(child)
