"""What both doors to a broker share: whom they trust, and in which words they fail."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import socket
import ssl
from typing import TYPE_CHECKING, Iterator, Optional, Tuple

from credbroker.client.http11 import BrokenAnswerError
from credbroker.domain.errors import BrokerUnreachable, LocalFileUnfit

if TYPE_CHECKING:
    from credbroker.client.address import Address

CA_FILE_VARIABLE = "CREDBROKER_CA_FILE"
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 30.0
RECEIVED_AT_ONCE = 64 * 1024


def trust(
    ca_file: Optional[str], ca_pem: Optional[str], ca_folder: Optional[str] = None
) -> ssl.SSLContext:
    """Return what checks a server: TLS 1.2 or later, its name, its certificate.

    Args:
        ca_file: A file, or a folder with hashed names, of certificate authorities.
        ca_pem: Their PEM text, which counts where no file is named; the system's if neither is.
        ca_folder: More of them, in a folder with hashed names; None for no more.

    Raises:
        LocalFileUnfit: The certificate authorities cannot be used.
    """
    is_folder = ca_file is not None and pathlib.Path(ca_file).is_dir()
    try:
        context = ssl.create_default_context(
            cafile=None if is_folder else ca_file,
            capath=ca_file if is_folder else None,
            cadata=None if ca_file else ca_pem,
        )
    except (OSError, ValueError):  # a file without certificates is an SSLError, so an OSError
        sentence = (
            f"{ca_file} cannot be read as a file of certificate authorities."
            if ca_file
            else "The certificate authorities in the lease file (ca_pem) cannot be used."
        )
        raise LocalFileUnfit(sentence) from None
    if ca_folder is not None:
        context.load_verify_locations(capath=ca_folder)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def shared_trust(
    ca_file: Optional[str], ca_pem: Optional[str], ca_folder: Optional[str] = None
) -> ssl.SSLContext:
    """Return the same as `trust`, read once for all who ask, and anew when a file or folder changed.

    Nobody may change what is returned.
    """
    system = ssl.get_default_verify_paths()
    usual = () if ca_file or ca_pem else (system.cafile, system.capath)
    read_at = tuple(_changed_at(place) for place in (ca_file, ca_folder, *usual))
    return _trusted(ca_file, ca_pem, ca_folder, read_at)


@functools.lru_cache(maxsize=16)
def _trusted(
    ca_file: Optional[str], ca_pem: Optional[str], ca_folder: Optional[str], _read_at: object
) -> ssl.SSLContext:
    return trust(ca_file, ca_pem, ca_folder)


def _changed_at(place: Optional[str]) -> Optional[Tuple[int, int, int]]:
    try:
        found = pathlib.Path(place).stat() if place else None
    except OSError:
        return None
    return found and (found.st_ino, found.st_size, found.st_ctime_ns)


@contextlib.contextmanager
def in_words(address: Address) -> Iterator[None]:
    """Turn whatever keeps an answer from coming into `BrokerUnreachable`."""
    try:
        yield
    except ssl.SSLCertVerificationError as untrusted:
        raise BrokerUnreachable(
            f"The broker at {address} shows a certificate that is not trusted:"
            f" {untrusted.verify_message.rstrip('.')}.",
            f"Name the file of its certificate authority with --ca-file or {CA_FILE_VARIABLE}.",
        ) from None
    except BrokenAnswerError as broken:
        raise BrokerUnreachable(f"The answer from {address} cannot be used: {broken}.") from None
    except OSError as failure:
        raise BrokerUnreachable(
            f"The broker at {address} cannot be reached: {_why(failure)}."
        ) from None


def _why(failure: OSError) -> str:
    if isinstance(failure, (socket.timeout, TimeoutError)):
        return "it did not answer in time"
    if isinstance(failure, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(failure, ssl.SSLError):
        return "no TLS connection came about"
    told = os.strerror(failure.errno) if failure.errno else str(failure)
    reason = (told or type(failure).__name__).rstrip(".")
    return reason[:1].lower() + reason[1:]
