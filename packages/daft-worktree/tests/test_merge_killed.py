"""A merge that is killed between any two steps has merged all or nothing, and loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from daft_worktree import discover, put_right
from daft_worktree.errors import MergeRefused, NotUnderWay
from daft_worktree.merging import MergeResult, merge
from daft_worktree.merging.ending import abandon, resume
from daft_worktree.merging.notes import find
from daft_worktree.merging.plan import plan_merge
from daft_worktree.merging.rules import MergeOptions, Style

Git = Callable[..., str]

KILLED = """
from daft_worktree import discover
from daft_worktree.merging.ending import abandon, resume
from daft_worktree.merging.notes import find
from daft_worktree.merging.plan import plan_merge
from daft_worktree.merging.rules import MergeOptions, Style
from daft_worktree.merging import merge
verb, project, style, into = WORDS
repository = discover(project)
if verb == "merge":
    plan = plan_merge(repository, ("x",), into=into, options=MergeOptions(style=Style(style)))
    steps_count_from_here()
    merge(plan, lambda name: f"{project}.{name}")
else:
    under_way = find(repository)
    steps_count_from_here()
    resume(under_way) if verb == "resume" else abandon(under_way)
"""


class Scene:
    def __init__(self, project: Path, git: Git, runs_out: Callable[..., bool]) -> None:
        self.project, self.git, self.runs_out = project, git, runs_out
        self.tree = project.parent / "x"
        git("worktree", "add", "-q", "-b", "x", "../x", cwd=project)
        self.commit(self.tree, "of-x")
        self.commit(project, "of-main")
        git("branch", "t", "main", cwd=project)
        self.start = self.oid("main")
        (project / "untracked").write_text("mine")

    def commit(self, where: Path, name: str, text: str = "new\n") -> None:
        (where / name).write_text(text)
        self.git("add", name, cwd=where)
        self.git("commit", "-qm", f"change {name}", cwd=where)

    def clash(self) -> None:
        self.commit(self.tree, "file", "theirs\n")
        self.commit(self.project, "file", "ours\n")
        self.git("branch", "-f", "t", "main", cwd=self.project)
        self.start = self.oid("main")

    def oid(self, name: str) -> str:
        return self.git("rev-parse", name, cwd=self.project)

    def killed_at(self, verb: str, style: Style, into: str, step: int, how: str = "kill") -> bool:
        """Run until step `step`; False when there are fewer."""
        words = (verb, str(self.project), style.value, into)
        return not self.runs_out(KILLED, *words, step=step, how=how)

    def put_right(self) -> None:
        put_right(discover(str(self.project)), lambda _: None)

    def merge(self, style: Style, into: str) -> MergeResult:
        plan = plan_merge(
            discover(str(self.project)), ("x",), into=into, options=MergeOptions(style=style)
        )
        if plan.is_up_to_date:
            return MergeResult.UP_TO_DATE
        return merge(plan, lambda name: f"{self.project}.{name}").result

    def start_over(self, into: str) -> None:
        """Take back what a merge that has succeeded did."""
        if into == "main":
            self.git("reset", "-q", "--keep", self.start, cwd=self.project)
        else:
            self.git("update-ref", f"refs/heads/{into}", self.start, cwd=self.project)

    def check_whole(self, into: str) -> None:
        """Nothing of the user is lost, and nobody sees half a merge."""
        assert (self.project / "untracked").read_text() == "mine"
        assert self.git("status", "--short", cwd=self.tree) == ""
        assert self.git("status", "--short", cwd=self.project) == "?? untracked"
        assert [one.label for one in discover(str(self.project)).worktrees] == ["main", "x"]
        assert list((self.project / ".git" / ".daft").glob("merging/*")) == []
        if into == "main":
            assert self.oid("t") == self.start


@pytest.fixture
def scene(project: Path, git: Git, runs_out: Callable[..., bool]) -> Scene:
    return Scene(project, git, runs_out)


@pytest.mark.parametrize(
    ("style", "into"), [(Style.MERGE, "main"), (Style.SQUASH, "t"), (Style.REBASE, "main")]
)
def test_a_merge_killed_anywhere_can_be_repeated(scene: Scene, style: Style, into: str) -> None:
    for step in range(1, 100):
        ended = not scene.killed_at("merge", style, into, step)
        scene.put_right()
        try:
            done = scene.merge(style, into)
        except MergeRefused:
            # Half of it is in the worktree, and is taken back as the refusal says.
            assert abandon(find(discover(str(scene.project)))) == ()
            done = scene.merge(style, into)
        assert done in (MergeResult.SUCCESS, MergeResult.UP_TO_DATE), step
        scene.put_right()
        scene.check_whole(into)
        assert scene.git("ls-tree", "--name-only", into, cwd=scene.project).split() == [
            "file", "of-main", "of-x",
        ]  # fmt: skip
        scene.start_over(into)
        if ended:
            break

    assert step > 6


@pytest.mark.parametrize(("style", "into"), [(Style.SQUASH, "main"), (Style.REBASE_MERGE, "t")])
def test_a_merge_interrupted_anywhere_has_merged_all_or_nothing(
    scene: Scene, style: Style, into: str
) -> None:
    for step in range(1, 100):
        ended = not scene.killed_at("merge", style, into, step, "interrupt")
        scene.put_right()
        with suppress(NotUnderWay):
            # Interrupted while it takes things back, it leaves what was noted for that.
            abandon(find(discover(str(scene.project))))
        scene.check_whole(into)
        if scene.oid(into) != scene.start:
            assert "of-x" in scene.git("ls-tree", "--name-only", into, cwd=scene.project)
        scene.start_over(into)
        if ended:
            break

    assert step > 6


@pytest.mark.parametrize(("style", "into"), [(Style.MERGE, "t"), (Style.REBASE, "main")])
def test_a_conflict_killed_on_its_way_to_the_user_is_there_or_gone(
    scene: Scene, style: Style, into: str
) -> None:
    scene.clash()
    found = 0
    for step in range(1, 100):
        ended = not scene.killed_at("merge", style, into, step)
        scene.put_right()
        assert scene.oid(into) == scene.start
        with suppress(NotUnderWay):
            under_way = find(discover(str(scene.project)))
            assert "UU file" in scene.git("status", "--short", cwd=under_way.tree.path)
            assert abandon(under_way) == ()
            found += 1
        scene.put_right()
        scene.check_whole(into)
        if ended:
            break

    assert found > 1
    assert step - found > 6


@pytest.mark.parametrize("verb", ["resume", "abandon"])
@pytest.mark.parametrize(
    ("style", "into"),
    [(Style.SQUASH, "main"), (Style.MERGE, "t"), (Style.REBASE, "main")],
)
def test_the_end_of_a_merge_killed_anywhere_can_be_repeated(
    scene: Scene, style: Style, into: str, verb: str
) -> None:
    scene.clash()
    for step in range(1, 100):
        assert scene.merge(style, into) is MergeResult.CONFLICT
        tree = Path(find(discover(str(scene.project))).tree.path)
        (tree / "file").write_text("both\n")
        scene.git("add", "file", cwd=tree)
        ended = not scene.killed_at(verb, style, into, step)
        scene.put_right()
        with suppress(NotUnderWay):
            under_way = find(discover(str(scene.project)))
            resume(under_way) if verb == "resume" else abandon(under_way)
        if verb == "resume":
            assert scene.git("show", f"{into}:file", cwd=scene.project) == "both"
            if into == "t":
                scene.git("worktree", "remove", str(tree), cwd=scene.project)
        else:
            assert scene.oid(into) == scene.start
        scene.check_whole(into)
        scene.start_over(into)
        if ended:
            break

    assert step > 2
