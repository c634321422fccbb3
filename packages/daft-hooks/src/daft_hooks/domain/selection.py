"""Which jobs of a hook run: one function takes every job that drops out, and says why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import field, frozen

from daft_protocol.jobs import Skip
from daft_protocol.status import SkipKind

from ..hooktypes import HOOK_TYPES
from .config import JobConfig
from .templates import placeholders


@frozen(kw_only=True)
class Selectors:
    """What `--skip-hooks` leaves out. `texts` are the selectors as typed, for warnings."""

    everything: bool = False
    hooks: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    jobs: frozenset[str] = frozenset()

    def skips_whole(self, hook: str) -> bool:
        """True when no job of `hook` is to run."""
        return self.everything or hook in self.hooks


@frozen(kw_only=True)
class Narrowing:
    """What `--job` and `--tag` keep; empty keeps all. with_needs: and all that those need."""

    jobs: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    with_needs: bool = False

    def __bool__(self) -> bool:
        return bool(self.jobs or self.tags)


@frozen(kw_only=True)
class Dropped:
    """Jobs that do not run -> why; and selectors that matched nothing in this hook."""

    skips: Mapping[str, Skip] = field(factory=dict)
    unmatched: tuple[str, ...] = ()


def parse_selectors(texts: Iterable[str]) -> Selectors:
    """Return what a list of `--skip-hooks` values means; each may hold several, by commas."""
    everything = False
    hooks: set[str] = set()
    tags: set[str] = set()
    jobs: set[str] = set()
    for text in texts:
        for part in text.split(","):
            token = part.strip()
            if not token:
                continue
            if token.startswith("tag:"):
                tags.add(token[4:])
            elif token.startswith("job:"):
                jobs.add(token[4:])
            elif token in ("all", "*"):
                everything = True
            elif token in HOOK_TYPES:
                hooks.add(token)
            else:
                jobs.add(token)
    return Selectors(
        everything=everything,
        hooks=frozenset(hooks),
        tags=frozenset(tags),
        jobs=frozenset(jobs),
    )


def drop(
    jobs: Sequence[JobConfig],
    *,
    exclude_tags: Iterable[str] = (),
    selectors: Selectors | None = None,
    narrowing: Narrowing | None = None,
) -> Dropped:
    """Return the jobs that selection takes out.

    `exclude_tags` and narrowing take single jobs, whose dependents still run. What
    `--skip-hooks` names takes all that needs it along, transitively; the reason names the
    parent that was reached first.
    """
    skips: dict[str, Skip] = {}
    excluded = set(exclude_tags)
    for job in jobs:
        if excluded & set(job.tags):
            tag = min(excluded & set(job.tags))
            skips[job.name] = Skip(kind=SkipKind.EXCLUDED, reason=f"exclude_tags: {tag}")
    unmatched: list[str] = []
    if selectors is not None:
        direct = [job for job in jobs if _is_named(job, selectors.jobs, selectors.tags)]
        unmatched += sorted(selectors.jobs - names_of(jobs))
        unmatched += [f"tag:{tag}" for tag in sorted(selectors.tags - tags_of(jobs))]
        for job in direct:
            skips.setdefault(job.name, Skip(kind=SkipKind.TAG, reason="requested (--skip-hooks)"))
        _cascade(jobs, [job.name for job in direct], skips)
    if narrowing:
        kept = {job.name for job in jobs if _is_named(job, narrowing.jobs, narrowing.tags)}
        if narrowing.with_needs:
            kept = with_all_they_need(jobs, kept)
        for job in jobs:
            if job.name not in kept:
                skips.setdefault(job.name, Skip(kind=SkipKind.UNSELECTED, reason="not selected"))
    return Dropped(skips=skips, unmatched=tuple(unmatched))


def names_of(jobs: Iterable[JobConfig]) -> set[str]:
    """Return the names by which jobs can be selected, those of their groups too."""
    return {name for job in jobs for name in (job.name, *job.groups)}


def tags_of(jobs: Iterable[JobConfig]) -> set[str]:
    """Return every tag."""
    return {tag for job in jobs for tag in job.tags}


def _is_named(job: JobConfig, names: Collection[str], tags: Collection[str]) -> bool:
    return any(name in names for name in (job.name, *job.groups)) or any(
        tag in tags for tag in job.tags
    )


def with_all_they_need(jobs: Sequence[JobConfig], names: Iterable[str]) -> set[str]:
    """Return `names` and everything these jobs need, transitively."""
    by_name = {job.name: job for job in jobs}
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found and name in by_name:
            found.add(name)
            waiting += by_name[name].needs
    return found


def tracks_of(job: JobConfig) -> set[str]:
    """Return which changes of a moved worktree concern a job: those it says or makes use of."""
    found = set(job.tracks)
    texts = (*job.run.values(), *job.env.values(), job.root, job.args)
    used = {word for text in texts if "{" in text for word in placeholders(text)}
    if used & {"worktree_path", "worktree_root", "worktree_slug"}:
        found.add("path")
    if used & {"branch", "worktree_branch"}:
        found.add("branch")
    return found


def untracked(jobs: Sequence[JobConfig], changed: frozenset[str]) -> dict[str, Skip]:
    """Return the jobs that a move does not concern; what concerned jobs need is kept."""
    kept = with_all_they_need(jobs, [job.name for job in jobs if tracks_of(job) & changed])
    reason = f"does not track {' or '.join(sorted(changed))}"
    return {
        job.name: Skip(kind=SkipKind.UNTRACKED, reason=reason)
        for job in jobs
        if job.name not in kept
    }


def _cascade(jobs: Sequence[JobConfig], start: list[str], skips: dict[str, Skip]) -> None:
    """Breadth first, in declaration order, so that the parent reported is always the same."""
    frontier = start
    while frontier:
        following: list[str] = []
        for job in jobs:
            if job.name in skips:
                continue
            parent = next((name for name in frontier if name in job.needs), None)
            if parent is not None:
                skips[job.name] = Skip(
                    kind=SkipKind.NOT_RUN, reason=f"depends on {parent} (skipped)"
                )
                following.append(job.name)
        frontier = following
