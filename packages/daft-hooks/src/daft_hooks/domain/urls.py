"""URLs of repositories: what of them is shown, kept and compared."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_USER_INFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<user>[^/?#]*)@")


def without_credentials(url: str) -> str:
    """Return `url` without what only its owner should know.

    Over HTTP that is all before the host, for a token may stand alone there; in other URLs the
    password, for the user's name is part of the address.
    """
    found = _USER_INFO.match(url)
    if found is None:
        return url
    user = "" if found["scheme"].lower() in ("http", "https") else found["user"].partition(":")[0]
    return f"{found['scheme']}://{user}{'@' if user else ''}{url[found.end() :]}"


def normalised_url(url: str) -> str:
    """Return `url` without credentials and spelling differences, for comparing."""
    text = url.strip()
    if "://" not in text:
        host, colon, path = text.partition(":")
        if colon and "/" not in host:
            text = f"ssh://{host}/{path.lstrip('/')}"
        else:
            return text.rstrip("/").removesuffix(".git")
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").lower()
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return without_credentials(text)
    return f"{parts.scheme.lower()}://{host}{port}{parts.path.rstrip('/').removesuffix('.git')}"
