"""`daft merge --format`: what became of a merge, as one object for programs.

The rows below `jobs` are those of `daft jobs --format`; their `invocation_id` leads there.
"""

from __future__ import annotations

import json
import sys
from types import TracebackType
from typing import Any

from daft_store import listing
from daft_store.identity import read_repository_id
from daft_worktree.merging import Merged, Merging

from .context import Session
from .jobs_output import rows_of
from .terminal import warn
from .whereabouts import state_directory

FORMATS = ("json", "ndjson", "yaml")
_LOOKED_AT = 500
"""Runs among which those of one merge are: it fires a few for each worktree it touches."""


class MergeReport:
    """Collects what a merge comes to, and writes it when that is over, however it ends.

    form: one of FORMATS; None: nothing is written. plan, merged: set as soon as they are known.
    """

    def __init__(self, session: Session, form: str | None) -> None:
        self.plan: Merging | None = None
        self.merged: Merged | None = None
        self._session = session
        self._form = form

    def __enter__(self) -> MergeReport:
        self._session.says_aside = self._form is not None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._form is None:
            return
        found = self._facts()
        match self._form:
            case "json":
                text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
            case "ndjson":
                text = json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n"
            case _:
                import yaml

                text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True)
        sys.stdout.write(text)

    def _facts(self) -> dict[str, Any]:
        plan, merged = self.plan, self.merged
        sources = () if plan is None else (*plan.sources, *plan.contained)
        return {
            "target": None if plan is None else plan.target.name,
            "sources": [source.name for source in sources],
            "mode": None if plan is None else plan.mode,
            "result": None if merged is None else merged.result.value,
            "commit": None if merged is None else merged.commit or None,
            "path": None if merged is None else merged.path,
            "conflicts": [] if merged is None else list(merged.conflicts),
            "jobs": self._jobs(),
        }

    def _jobs(self) -> list[dict[str, Any]]:
        """Return the jobs that the hooks of this merge have, as the record knows them by now."""
        fired = frozenset(self._session.fired)
        repository = read_repository_id(self._session.repository.common_dir)
        if not fired or repository is None:
            return []
        try:
            db = listing.open_jobs(state_directory(), repository)
        except listing.ListingError as error:
            warn(f"the jobs of this merge are left out: {error}")
            return []
        if db is None:
            return []
        newest = listing.newest_invocations(db, repository, limit=_LOOKED_AT, skipped=_skipped)
        runs = [one for one in reversed(newest) if one[0] in fired]
        jobs = listing.jobs_of(db, repository, [one[0] for one in runs], skipped=_skipped)
        db.close()
        return rows_of(runs, jobs, frozenset())


def _skipped(what: str) -> None:
    warn(f"a row of the job store cannot be read and is left out: {what}")
