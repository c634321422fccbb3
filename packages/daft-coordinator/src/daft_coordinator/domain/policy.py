"""What a repository keeps: the defaults, what its files say, and how the two come together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, frozen
from attrs.validators import ge, optional

DEFAULT_BUDGET_BYTES = 500 * 1024 * 1024
DEFAULT_KEEP_LAST = 3
DEFAULT_STALE_AFTER_S = 24 * 3600

FIELDS = ("max_total_size_bytes", "keep_last", "stale_running_after_s")


@frozen(kw_only=True)
class RetentionPolicy:
    """How much of a repository's history clean-up leaves.

    max_total_size_bytes: logs of all jobs together; older ones go beyond that.
    keep_last: newest invocations of each worktree that are kept, whatever their age and size.
    stale_running_after_s: age at which a running job without owner and process is given up.
    """

    max_total_size_bytes: int = field(default=DEFAULT_BUDGET_BYTES, validator=ge(0))
    keep_last: int = field(default=DEFAULT_KEEP_LAST, validator=ge(0))
    stale_running_after_s: int = field(default=DEFAULT_STALE_AFTER_S, validator=ge(0))


@frozen(kw_only=True)
class DeclaredPolicy:
    """What one configuration file says about retention; None: it does not say.

    source: absolute path of the file.
    """

    source: str
    max_total_size_bytes: int | None = field(default=None, validator=optional(ge(0)))
    keep_last: int | None = field(default=None, validator=optional(ge(0)))
    stale_running_after_s: int | None = field(default=None, validator=optional(ge(0)))


StoredPolicy = Mapping[str, tuple[int, str]]
"""Field of FIELDS -> (value, the file that set it). A field that nobody set is missing."""


def merge(
    stored: StoredPolicy, declared: DeclaredPolicy, *, is_gone: Callable[[str], bool]
) -> StoredPolicy:
    """Return what is stored after a fire with `declared`.

    A field it sets replaces what was there. A field it leaves out is kept, unless this file, or
    one that is gone, had set it: then it falls back to the default. So neither a hook without a
    `log:` block nor another worktree's file resets what was tuned, and what was taken out of a
    file has no after-life.
    is_gone: whether the file of a path does not exist any more.
    """
    merged: dict[str, tuple[int, str]] = {}
    for name in FIELDS:
        value = getattr(declared, name)
        if value is not None:
            merged[name] = (value, declared.source)
        elif name in stored:
            source = stored[name][1]
            if source != declared.source and not is_gone(source):
                merged[name] = stored[name]
    return merged


def effective(stored: StoredPolicy) -> RetentionPolicy:
    """Return the policy that applies: what is stored, else the defaults."""
    return RetentionPolicy(**{name: stored[name][0] for name in FIELDS if name in stored})
