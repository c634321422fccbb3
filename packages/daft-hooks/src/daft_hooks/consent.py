"""Giving, refusing, asking for and forgetting consent."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from attrs import frozen

from .discovery import Loaded
from .domain.event import Event
from .domain.replay import SkippedFire, skipped_fire, together
from .domain.trust import Consent, TrustEntry, TrustLevel, Verdict, decide, differences
from .domain.urls import normalised_url as _normalised
from .errors import RegistryUnavailable
from .hooktypes import HOOK_TYPES
from .ports import TrustRegistry

KEPT_DIGESTS = 20
"""Branches may differ in what they run; consent to one does not undo consent to another."""


class Answer(enum.Enum):
    """What a user says to the question whether hooks may run."""

    ONCE = "once"
    ALWAYS = "always"  # until what they run changes
    NO = "no"
    NEVER = "never"  # deny, whatever patterns and defaults say


@frozen(kw_only=True)
class Question:
    """What a user is asked.

    commands: job -> what it would run, of the hook that wants to run.
    changes: lines that say what is not as it was when consent was given; empty if it never was.
    """

    event: Event
    consent: Consent
    commands: Mapping[str, str]
    changes: tuple[str, ...]


@frozen(kw_only=True)
class Consenting:
    """Where consent is looked for.

    default: the level of a repository nobody decided about, out of the user's own settings.
    ask: called when the user wants to be asked, and only by those who can: None without a terminal.
    """

    registry: TrustRegistry
    remote_url: str | None
    default: TrustLevel = TrustLevel.DENY
    ask: Callable[[Question], Answer] | None = None


def consent_for(
    registry: TrustRegistry,
    common_dir: str,
    loaded: Loaded,
    *,
    remote_url: str | None,
    default: TrustLevel = TrustLevel.DENY,
) -> Consent:
    """Return whether the hooks in `loaded`, as seen in a worktree, may run.

    Raises: RegistryUnavailable.
    """
    return decide(
        registry.get(common_dir),
        fingerprint=_fingerprint(remote_url),
        digest=loaded.digest,
        patterns=registry.patterns(),
        common_dir=common_dir,
        default=default,
    )


def obtain(event: Event, loaded: Loaded, consenting: Consenting) -> Consent:
    """Return whether a fire may go on, after asking if the user wants that and can be asked.

    A registry that cannot be used consents to nothing; the reason says so.
    """
    registry = consenting.registry
    try:
        consent = consent_for(
            registry,
            event.git_dir,
            loaded,
            remote_url=consenting.remote_url,
            default=consenting.default,
        )
        may_ask = consent.verdict in (Verdict.PROMPT, Verdict.CONTENT_CHANGED)
        if not may_ask or consenting.ask is None:
            return consent
        question = _question(registry, event, loaded, consent)
        match consenting.ask(question):
            case Answer.ALWAYS:
                allow(registry, event.git_dir, loaded, remote_url=consenting.remote_url)
                return Consent(verdict=Verdict.ALLOWED, reason="trusted")
            case Answer.ONCE:
                return Consent(verdict=Verdict.ALLOWED, reason="allowed this once")
            case Answer.NEVER:
                deny(registry, event.git_dir)
                return Consent(verdict=Verdict.DENIED, reason="the repository is denied")
            case Answer.NO:
                return consent
    except RegistryUnavailable as error:
        return Consent(verdict=Verdict.UNTRUSTED, reason=str(error))


def allow(
    registry: TrustRegistry, common_dir: str, loaded: Loaded | None, *, remote_url: str | None
) -> None:
    """Record consent to what `loaded` runs, beside what was consented to before.

    loaded: as seen in a worktree; None for a repository without hooks: then to nothing yet.
    Raises: RegistryUnavailable.
    """
    known = registry.get(common_dir)
    fingerprint = _fingerprint(remote_url)
    approved: dict[str, Mapping[str, str]] = {}
    if known is not None and known.level is TrustLevel.ALLOW and known.fingerprint == fingerprint:
        approved.update(known.approved)
    if loaded is not None:
        approved.pop(loaded.digest, None)  # the newest comes last
        approved[loaded.digest] = loaded.runs
    registry.put(
        common_dir,
        TrustEntry(
            level=TrustLevel.ALLOW,
            granted_at=_now(),
            fingerprint=fingerprint,
            approved=dict(list(approved.items())[-KEPT_DIGESTS:]),
        ),
    )


def deny(registry: TrustRegistry, common_dir: str) -> None:
    """Record a refusal, which no pattern and no default overrides. Raises: RegistryUnavailable."""
    registry.put(common_dir, TrustEntry(level=TrustLevel.DENY, granted_at=_now()))


def ask_each_time(
    registry: TrustRegistry, common_dir: str, *, remote_url: str | None = None
) -> None:
    """Record that the user wants to be asked at each fire. Raises: RegistryUnavailable."""
    registry.put(
        common_dir,
        TrustEntry(
            level=TrustLevel.PROMPT, granted_at=_now(), fingerprint=_fingerprint(remote_url)
        ),
    )


def forget(registry: TrustRegistry, common_dir: str) -> None:
    """Forget all about the repository that was at a path: another one is there now.

    Raises: RegistryUnavailable.
    """
    if registry.get(common_dir) is not None:
        registry.delete(common_dir)
    registry.forget_skipped(common_dir)


def prune(
    registry: TrustRegistry, exists: Callable[[str], bool], *, keep_refusals: bool
) -> tuple[str, ...]:
    """Forget repositories that are gone; return their common directories.

    keep_refusals: a path that is only out of reach for now must not lose a "no", for a pattern
        might then say "yes". Raises: RegistryUnavailable.
    """
    gone = [
        path
        for path, entry in sorted(registry.entries().items())
        if not exists(path) and not (keep_refusals and entry.level is TrustLevel.DENY)
    ]
    for path in gone:
        forget(registry, path)
    return tuple(gone)


def note_remotes(
    registry: TrustRegistry, remote_url: Callable[[str], str | None]
) -> tuple[str, ...]:
    """Note the remote of repositories that had none when they were decided about.

    From then on another remote at that path means another repository. remote_url: of the
    repository with this common directory, None for none. Returns: the common directories.
    Raises: RegistryUnavailable.
    """
    filled: list[str] = []
    for path, entry in sorted(registry.entries().items()):
        if entry.level is TrustLevel.DENY or entry.fingerprint is not None:
            continue
        fingerprint = _fingerprint(remote_url(path))
        if fingerprint is not None and registry.fill_fingerprint(path, fingerprint):
            filled.append(path)
    return tuple(filled)


def changes_since_consent(
    registry: TrustRegistry, common_dir: str, loaded: Loaded
) -> tuple[str, ...]:
    """Return lines that say what is not as it was at the last consent; empty without one."""
    known = registry.get(common_dir)
    if known is None or not known.approved or loaded.digest in known.approved:
        return ()
    return differences(list(known.approved.values())[-1], loaded.runs)


def remember_skipped(registry: TrustRegistry, event: Event, consent: Consent) -> None:
    """Keep a fire that was not allowed, if making up for it later has a meaning.

    Raises: RegistryUnavailable.
    """
    kind = HOOK_TYPES.get(event.hook)
    if kind is not None and kind.is_replayable:
        fire = skipped_fire(event, consent.verdict.value, _now())
        earlier = still_skipped(registry, event)
        registry.note_skipped(event.git_dir, fire if earlier is None else together(earlier, fire))


def still_skipped(registry: TrustRegistry, event: Event) -> SkippedFire | None:
    """Return what is on record as skipped of the hook of `event` for its worktree.

    Raises: RegistryUnavailable.
    """
    for fire in registry.skipped(event.git_dir):
        if (fire.hook, fire.worktree_id) == (event.hook, event.worktree_id):
            return fire
    return None


def _question(registry: TrustRegistry, event: Event, loaded: Loaded, consent: Consent) -> Question:
    prefix = f"{event.hook}/"
    return Question(
        event=event,
        consent=consent,
        commands={
            name.removeprefix(prefix): text
            for name, text in loaded.commands.items()
            if name.startswith(prefix)
        },
        changes=changes_since_consent(registry, event.git_dir, loaded),
    )


def _fingerprint(remote_url: str | None) -> str | None:
    return None if remote_url is None else _normalised(remote_url)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
