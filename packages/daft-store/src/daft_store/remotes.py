"""What a remote's URL says: whether two name the same repository, and what it is called.

Pure. The forms: git-fetch(1), "GIT URLS".
"""

from __future__ import annotations

_USUAL_PORTS = {
    "ssh": "22",
    "git": "9418",
    "http": "80",
    "https": "443",
    "ftp": "21",
    "ftps": "990",
}
_ANONYMOUS = ("http", "https", "ftp", "ftps")
"""Whoever fetches this way needs no user; what stands in its place is most likely a token."""


def without_secrets(url: str) -> str:
    """Return `url` without a password, or whatever else in it may be one.

    For ssh the user stays, which belongs to the address.
    """
    scheme, has_scheme, rest = url.partition("://")
    if not has_scheme:
        return url
    host, slash, path = rest.partition("/")
    user, at, bare_host = host.rpartition("@")
    if scheme.lower() in _ANONYMOUS:
        path = path.partition("?")[0].partition("#")[0]
        return f"{scheme}://{bare_host}{slash}{path}"
    name = user.partition(":")[0]
    return f"{scheme}://{name}{at}{bare_host}{slash}{path}"


def normalized(url: str) -> str:
    """Return the same text for every usual way to write one repository: `host/owner/name`.

    A path of this machine becomes that path.
    """
    scheme, has_scheme, rest = url.partition("://")
    if has_scheme and scheme.lower() == "file":
        return _trimmed(rest)
    if has_scheme:
        host, _, path = rest.partition("/")
        host = host.rpartition("@")[2].lower()
        path = path.partition("?")[0].partition("#")[0]
        host = host.removesuffix(f":{_USUAL_PORTS.get(scheme.lower(), '')}")
        return f"{host}/{_trimmed(path).lstrip('/')}"
    if is_path(url):
        return _trimmed(url)
    host, _, path = url.partition(":")
    return f"{host.rpartition('@')[2].lower()}/{_trimmed(path).lstrip('/')}"


def is_path(url: str) -> bool:
    """True for what git takes for a path: no scheme, and no colon before the first slash."""
    return "://" not in url and ":" not in url.partition("/")[0]


def last_part(url: str) -> str:
    """Return what a repository is called by its URL, without `.git`; empty when it says nothing."""
    plain = url.partition("?")[0].partition("#")[0] if "://" in url else url
    name = normalized(plain).rstrip("/").rpartition("/")[2]
    return "" if name in (".", "..") else name


def _trimmed(path: str) -> str:
    trimmed = path.rstrip("/").removesuffix("/.git")
    return trimmed.removesuffix(".git") if not trimmed.endswith("/.git") else trimmed
