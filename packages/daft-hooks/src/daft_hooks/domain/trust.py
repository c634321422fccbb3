"""Whether a repository's hooks may run: a decision over facts, which never raises a level."""

from __future__ import annotations

import enum
import fnmatch
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from attrs import field, frozen


class TrustLevel(enum.Enum):
    """What a user decided about a repository."""

    DENY = "deny"
    PROMPT = "prompt"
    ALLOW = "allow"


@frozen(kw_only=True)
class TrustEntry:
    """What is on record for one repository.

    fingerprint: its remote's URL when trust was given, normalised, without credentials.
    approved: digest of a configuration -> its commands; what the user has consented to.
    """

    level: TrustLevel
    granted_at: str
    fingerprint: str | None = None
    approved: Mapping[str, Mapping[str, str]] = field(factory=dict)


class Verdict(enum.Enum):
    """Why hooks may run or not."""

    ALLOWED = "allowed"
    UNTRUSTED = "untrusted"  # nobody has consented
    DENIED = "denied"  # somebody said no
    REMOTE_CHANGED = "remote-changed"  # another repository sits at the path by now
    CONTENT_CHANGED = "content-changed"  # what would run is not what was consented to
    PROMPT = "prompt-unavailable"  # the user wants to be asked, and cannot be


@frozen(kw_only=True)
class Consent:
    """A verdict, and one line for people."""

    verdict: Verdict
    reason: str

    @property
    def allowed(self) -> bool:
        """True when hooks may run."""
        return self.verdict is Verdict.ALLOWED


def decide(
    entry: TrustEntry | None,
    *,
    fingerprint: str | None,
    digest: str,
    patterns: Sequence[tuple[str, TrustLevel]] = (),
    common_dir: str = "",
    default: TrustLevel = TrustLevel.DENY,
) -> Consent:
    """Return whether hooks may run now.

    The repository's own entry counts first, then the first pattern that fits, then the default.
    fingerprint: of the present remote; None when there is none. digest: of what would run.
    """
    if entry is None:
        level = next(
            (level for pattern, level in patterns if fnmatch.fnmatchcase(common_dir, pattern)),
            default,
        )
        return _of_level(level, "untrusted")
    if entry.level is not TrustLevel.ALLOW:
        return _of_level(entry.level, "denied")
    if entry.fingerprint and fingerprint and entry.fingerprint != fingerprint:
        return Consent(
            verdict=Verdict.REMOTE_CHANGED,
            reason=f"the remote was {entry.fingerprint} when trust was given, "
            f"now it is {fingerprint}",
        )
    if digest not in entry.approved:
        return Consent(
            verdict=Verdict.CONTENT_CHANGED,
            reason="what the hooks would run has changed since trust was given",
        )
    return Consent(verdict=Verdict.ALLOWED, reason="trusted")


def _of_level(level: TrustLevel, word: str) -> Consent:
    if level is TrustLevel.ALLOW:
        return Consent(verdict=Verdict.ALLOWED, reason="trusted by a pattern or by default")
    if level is TrustLevel.PROMPT:
        return Consent(verdict=Verdict.PROMPT, reason="consent is to be asked for each time")
    verdict = Verdict.DENIED if word == "denied" else Verdict.UNTRUSTED
    return Consent(verdict=verdict, reason=f"the repository is {word}")


def differences(approved: Mapping[str, str], present: Mapping[str, str]) -> tuple[str, ...]:
    """Return one line for each command that was added, changed or removed."""
    lines: list[str] = []
    for name, command in present.items():
        if name not in approved:
            lines.append(f"added {name}: {_one_line(command)}")
        elif approved[name] != command:
            lines.append(f"changed {name}: {_one_line(command)}")
    lines += [f"removed {name}" for name in approved if name not in present]
    return tuple(lines) or ("a script that a command names has other content",)


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
        return text
    return f"{parts.scheme.lower()}://{host}{port}{parts.path.rstrip('/').removesuffix('.git')}"


def _one_line(command: str) -> str:
    text = " ".join(command.split())
    return text if len(text) <= 100 else f"{text[:97]}..."
