"""Whether a repository's hooks may run: a decision over facts, which never raises a level."""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Mapping, Sequence

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
    approved: digest -> what it stands for, see `Loaded.runs`; what the user has consented to.
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
    """A verdict, and one line for people.

    level: that of the entry, the pattern or the default that counted; what is in force may be
        less, see `verdict`. source: "entry", "pattern <pattern>" or "default".
    """

    verdict: Verdict
    reason: str
    level: TrustLevel = TrustLevel.DENY
    source: str = "default"

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
        for pattern, level in patterns:
            if fits(pattern, common_dir):
                return _of_level(level, "untrusted", f"pattern {pattern}")
        return _of_level(default, "untrusted", "default")
    if entry.level is not TrustLevel.ALLOW:
        return _of_level(entry.level, "denied", "entry")
    if entry.fingerprint and fingerprint and entry.fingerprint != fingerprint:
        return Consent(
            verdict=Verdict.REMOTE_CHANGED,
            reason=f"the remote was {entry.fingerprint} when trust was given, "
            f"now it is {fingerprint}",
            level=entry.level,
            source="entry",
        )
    if digest not in entry.approved:
        return Consent(
            verdict=Verdict.CONTENT_CHANGED,
            reason="what the hooks would run has changed since trust was given",
            level=entry.level,
            source="entry",
        )
    return Consent(verdict=Verdict.ALLOWED, reason="trusted", level=entry.level, source="entry")


_ANY_NUMBER = "(?:[^/]*/)*"


def _of_level(level: TrustLevel, word: str, source: str) -> Consent:
    if level is TrustLevel.ALLOW:
        verdict, reason = Verdict.ALLOWED, f"trusted by {source}"
    elif level is TrustLevel.PROMPT:
        verdict, reason = Verdict.PROMPT, "consent is to be asked for each time"
    else:
        verdict = Verdict.DENIED if word == "denied" else Verdict.UNTRUSTED
        reason = f"the repository is {word}"
    return Consent(verdict=verdict, reason=reason, level=level, source=source)


def fits(pattern: str, common_dir: str) -> bool:
    """Return whether `pattern` means the repository at `common_dir`, or its project root.

    Compared component by component: `*` stands for anything in one component, `**` for any
    number of components.
    """
    root = common_dir.removesuffix("/.git")
    expression = _expression(pattern)
    return any(expression.fullmatch(path) is not None for path in {common_dir, root})


def _expression(pattern: str) -> re.Pattern[str]:
    parts: list[str] = []
    for component in pattern.rstrip("/").split("/"):
        if component == "**":
            if parts[-1:] != [_ANY_NUMBER]:  # a second one would say nothing more
                parts.append(_ANY_NUMBER)
        else:
            parts.append("[^/]*".join(re.escape(one) for one in re.split(r"\*+", component)) + "/")
    if parts[-1] == _ANY_NUMBER:
        return re.compile("".join(parts) + "[^/]+")  # `/w/**` is what is in /w, not /w itself
    return re.compile("".join(parts).removesuffix("/"))


FILE = "file "
"""Before the names of files among what is compared."""


def differences(approved: Mapping[str, str], present: Mapping[str, str]) -> tuple[str, ...]:
    """Return what was added, changed or removed, one heading each, and the lines of a change.

    approved, present: name -> command, or FILE and a name -> digest of its content.
    """
    lines: list[str] = []
    for name, text in present.items():
        if name in approved and approved[name] == text:
            continue
        word = "changed" if name in approved else "added"
        if name.startswith(FILE):
            lines.append(f"{word} {name}")
        elif name in approved:
            lines.append(f"{word} {name}:")
            lines += _changed_lines(approved[name], text)
        else:
            lines.append(f"{word} {name}:")
            lines += [f"  + {line}" for line in text.splitlines()]
    lines += [f"removed {name}" for name in approved if name not in present]
    return tuple(lines) or ("settings of jobs, none of their commands",)


def _changed_lines(old: str, new: str) -> list[str]:
    """Return the lines that went and came, whole: what is left out might be what matters."""
    found = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    lines = [line for line in found if not line.startswith(("---", "+++", "@@"))]
    return [f"  {line[0]} {line[1:]}" for line in lines]
