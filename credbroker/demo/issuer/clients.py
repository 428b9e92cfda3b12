"""Who is asking: client authentication at the token endpoint (RFC 6749 section 2.3)."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from credbroker.demo.issuer.errors import OAuthError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credbroker.demo.issuer.settings import Client
    from credbroker.demo.issuer.state import IssuerState


def shown(authorization: str, form: Mapping[str, str]) -> tuple[str, str]:
    """Return the client id and secret of a request, unchecked; Basic counts before the form.

    Raises:
        OAuthError: `invalid_client`, for a header that cannot be read or a form that names
            another client.
    """
    if not authorization.lower().startswith("basic "):
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        pair = base64.b64decode(authorization[6:], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise OAuthError("invalid_client", "The Basic header cannot be read.", 401) from None
    client_id, _, secret = (unquote_plus(part) for part in pair.partition(":"))
    if form.get("client_id", client_id) != client_id:
        raise OAuthError("invalid_client", "The form names another client.", 401)
    return client_id, secret


def authenticate(state: IssuerState, authorization: str, form: Mapping[str, str]) -> Client:
    """Return the client that proved who it is; a public one only names itself.

    Raises:
        OAuthError: `invalid_client`, 401.
    """
    client_id, secret = shown(authorization, form)
    client = state.client(client_id)
    if not hmac.compare_digest((client.secret or "").encode(), secret.encode()):
        raise OAuthError("invalid_client", "Bad client secret.", 401)
    return client
