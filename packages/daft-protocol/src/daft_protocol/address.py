"""How people name a job: `worktree@invocation/job`, and the shorter spellings.

A text alone cannot tell a worktree called `a3f2` from an invocation, or a job called `db` from
an invocation prefix. So this module only lists what a text *could* mean; whoever has the
recorded jobs picks what exists (`daft_coordinator.domain.targets`).
"""

from __future__ import annotations

from attrs import frozen

from .errors import BadAddress

_HEX = frozenset("0123456789abcdef")


@frozen(kw_only=True)
class JobAddress:
    """One reading of an address; None is a part the text leaves open.

    invocation: a prefix of 2 to 16 lower-case hex digits, or the whole id.
    """

    worktree: str | None = None
    invocation: str | None = None
    job: str | None = None

    def __str__(self) -> str:
        """The canonical spelling, complete or as far as the parts go."""
        head = f"{self.worktree}@" if self.worktree is not None else ""
        middle = self.invocation or ""
        tail = f"/{self.job}" if self.job is not None and middle else self.job or ""
        return f"{head}{middle}{tail}"


def is_invocation_prefix(text: str) -> bool:
    """True for 2 to 16 hex digits, in either case."""
    return 2 <= len(text) <= 16 and _HEX.issuperset(text.lower())


def readings(text: str) -> list[JobAddress]:
    """Return everything `text` could mean, most specific first, without looking at data.

    Forms: `worktree@invocation/job` (canonical), `worktree:invocation:job`, `worktree:job`,
    `worktree:invocation`, `worktree:`, `invocation:job`, `invocation`, `job`. A job name may
    hold `:` or `/` and is always the last part.
    Raises: BadAddress for an empty text.
    """
    if not text:
        raise BadAddress(text, "it is empty")
    found = [*_canonical(text), *_with_colons(text)]
    if is_invocation_prefix(text):
        found.append(JobAddress(invocation=text.lower()))
    found.append(JobAddress(job=text))
    return found


def _canonical(text: str) -> list[JobAddress]:
    head, at, rest = text.partition("@")
    # Branch names may hold an `@` themselves: try every place it could divide at.
    found: list[JobAddress] = []
    while at:
        invocation, slash, job = rest.partition("/")
        if is_invocation_prefix(invocation):
            found.append(
                JobAddress(
                    worktree=head, invocation=invocation.lower(), job=job if slash and job else None
                )
            )
        more, at, tail = rest.partition("@")
        head, rest = f"{head}@{more}", tail
    return found


def _with_colons(text: str) -> list[JobAddress]:
    left, colon, rest = text.partition(":")
    if colon and left and not rest:
        return [JobAddress(worktree=left)]
    if not colon or not left or not rest:
        return []
    found: list[JobAddress] = []
    middle, second, last = rest.partition(":")
    if second and last and is_invocation_prefix(middle):
        found.append(JobAddress(worktree=left, invocation=middle.lower(), job=last))
    found.append(JobAddress(worktree=left, job=rest))
    if is_invocation_prefix(rest):
        found.append(JobAddress(worktree=left, invocation=rest.lower()))
    if is_invocation_prefix(left):
        found.append(JobAddress(invocation=left.lower(), job=rest))
    return found
