"""Where an issuer of ours is found, for all the ways in which clients put its addresses together.

Some join its URL, which ends with a slash, and a path that begins with one; some leave its slash out;
some add one at the end (RFC 8414 section 3.1 has its own way besides).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from credbroker.wire.issuer_documents import DISCOVERY_PATH, METADATA_PATH

_WELL_KNOWN = (DISCOVERY_PATH, METADATA_PATH)


def spellings(url: str, name: str) -> list[str]:
    """Return the paths, each once, at which a client may look for `name` below the issuer `url`."""
    base = urlsplit(url).path
    return list(dict.fromkeys([f"{base}{name}", f"{base}/{name}", f"{base}{name}/"]))


def all_below(url: str) -> str:
    """Return a pattern, as the framework has it, of whatever path lies below the issuer `url`."""
    return f"{urlsplit(url).path}{{rest:.*}}"


def metadata_paths(url: str) -> list[str]:
    """Return the paths at which a client may look for the metadata of the issuer `url`."""
    base = urlsplit(url).path.rstrip("/")
    paths = [path for name in _WELL_KNOWN for path in spellings(url, name)]
    paths += [f"/{name}{base}{end}" for name in _WELL_KNOWN for end in ("", "/")]
    return list(dict.fromkeys(paths))
