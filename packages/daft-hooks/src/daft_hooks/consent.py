"""Giving, refusing and asking for consent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from .discovery import Loaded
from .domain.trust import Consent, TrustEntry, TrustLevel, decide, differences, normalised_url
from .ports import TrustRegistry

KEPT_DIGESTS = 20
"""Branches may differ in what they run; consent to one does not undo consent to another."""


def consent_for(
    registry: TrustRegistry,
    common_dir: str,
    loaded: Loaded,
    *,
    remote_url: str | None,
    default: TrustLevel = TrustLevel.DENY,
) -> Consent:
    """Return whether the hooks in `loaded` may run. Raises: RegistryUnavailable."""
    return decide(
        registry.get(common_dir),
        fingerprint=None if remote_url is None else normalised_url(remote_url),
        digest=loaded.digest,
        patterns=registry.patterns(),
        common_dir=common_dir,
        default=default,
    )


def allow(
    registry: TrustRegistry, common_dir: str, loaded: Loaded | None, *, remote_url: str | None
) -> None:
    """Record consent to what `loaded` runs, beside what was consented to before.

    Raises: RegistryUnavailable.
    """
    known = registry.get(common_dir)
    fingerprint = None if remote_url is None else normalised_url(remote_url)
    approved: dict[str, Mapping[str, str]] = {}
    if known is not None and known.level is TrustLevel.ALLOW and known.fingerprint == fingerprint:
        approved.update(known.approved)
    if loaded is not None:
        approved.pop(loaded.digest, None)  # the newest comes last
        approved[loaded.digest] = loaded.commands
    registry.put(
        common_dir,
        TrustEntry(
            level=TrustLevel.ALLOW,
            granted_at=datetime.now(UTC).isoformat(timespec="seconds"),
            fingerprint=fingerprint,
            approved=dict(list(approved.items())[-KEPT_DIGESTS:]),
        ),
    )


def deny(registry: TrustRegistry, common_dir: str) -> None:
    """Record a refusal, which no pattern and no default overrides. Raises: RegistryUnavailable."""
    registry.put(
        common_dir,
        TrustEntry(
            level=TrustLevel.DENY, granted_at=datetime.now(UTC).isoformat(timespec="seconds")
        ),
    )


def changes_since_consent(
    registry: TrustRegistry, common_dir: str, loaded: Loaded
) -> tuple[str, ...]:
    """Return one line for each command that differs from the last consent."""
    known = registry.get(common_dir)
    last = {} if known is None or not known.approved else list(known.approved.values())[-1]
    return differences(last, loaded.commands)
