"""Files that worktrees have in common: one place for each, a link in every worktree."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from daft_worktree import (
    BUILT_IN,
    Repository,
    Worktree,
    create,
    discover,
    plan_removal,
    plan_start,
    reap_trash,
    remove,
    sharing,
)
from daft_worktree import (
    git as git_module,
)
from daft_worktree.errors import CannotShare, Refused
from daft_worktree.layouts import Layout
from daft_worktree.relocation import under_way
from daft_worktree.renaming import plan_rename
from daft_worktree.sharing import Outcome, private
from daft_worktree.sharing.files import (
    Has,
    Spot,
    State,
    Verdict,
    copy_verdict,
    link_verdict,
    look,
    stored_path,
)

Git = Callable[..., str]


@pytest.fixture
def repository(project: Path, git: Git) -> Repository:
    """The project with a `.env` that git ignores, and a second worktree."""
    (project / ".gitignore").write_text(".env\n")
    git("add", "-A", cwd=project)
    git("commit", "-qm", "ignore", cwd=project)
    env = project / ".env"
    env.write_text("SECRET=1\n")
    env.chmod(0o600)
    start(discover(str(project)), "second")
    return discover(str(project))


def start(repository: Repository, name: str) -> Worktree:
    return create(plan_start(repository, name, layout=BUILT_IN["sibling"], data_dir="/n"))


def trees(repository: Repository) -> tuple[Worktree, Worktree]:
    first, second = repository.worktrees
    return first, second


def state(repository: Repository, worktree: Worktree, name: str = ".env") -> State:
    (spot,) = look(repository.common_dir, worktree, (name,))
    return spot.state


def test_a_shared_file_is_kept_once_and_linked(repository: Repository) -> None:
    main, second = trees(repository)
    inode = os.stat(f"{main.path}/.env").st_ino

    sharing.share(repository, main, ".env")
    (row,) = sharing.link(repository, second, (".env",))

    stored = Path(stored_path(repository.common_dir, ".env"))
    assert row.outcome is Outcome.LINKED
    assert [os.readlink(f"{tree.path}/.env") for tree in (main, second)] == [
        ".git/.daft/shared/.env",
        f"../{os.path.basename(main.path)}/.git/.daft/shared/.env",
    ]
    assert (stored.read_text(), stored.stat().st_mode & 0o777) == ("SECRET=1\n", 0o600)
    assert stored.stat().st_ino == inode
    assert stored.parent.stat().st_mode & 0o077 == 0
    assert not os.path.exists(f"{repository.common_dir}/.daft/discarded")
    assert [state(repository, tree) for tree in (main, second)] == [State.LINKED, State.LINKED]


def test_what_is_shared_already_is_left_as_it_is(repository: Repository) -> None:
    main, second = trees(repository)
    sharing.share(repository, main, ".env")
    sharing.share(repository, main, ".env")
    sharing.link(repository, second, (".env",))

    (row,) = sharing.link(repository, second, (".env",))

    assert row.outcome is Outcome.AS_IT_WAS
    assert Path(second.path, ".env").read_text() == "SECRET=1\n"


def test_a_file_that_says_the_same_becomes_a_link_and_another_is_left_alone(
    repository: Repository,
) -> None:
    main, second = trees(repository)
    third = start(repository, "third")
    Path(second.path, ".env").write_text("SECRET=1\n")
    Path(third.path, ".env").write_text("SECRET=3\n")
    sharing.share(repository, main, ".env")

    rows = [sharing.link(repository, tree, (".env",))[0] for tree in (second, third)]

    assert [row.outcome for row in rows] == [Outcome.LINKED, Outcome.CONFLICT]
    assert rows[1].detail == "another file is there"
    assert os.path.islink(f"{second.path}/.env")
    assert Path(third.path, ".env").read_text() == "SECRET=3\n"
    assert state(repository, third) is State.CONFLICT


def test_whoever_overrides_finds_the_other_file_kept(repository: Repository) -> None:
    main, second = trees(repository)
    other = Path(second.path, ".env")
    sharing.share(repository, main, ".env")
    kept = []
    for text in ("SECRET=2\n", "SECRET=3\n"):
        other.unlink(missing_ok=True)
        other.write_text(text)
        other.chmod(0o600)
        (row,) = sharing.link(repository, second, (".env",), asked=True, override=True)
        assert row.outcome is Outcome.LINKED
        assert row.aside is not None
        kept.append(Path(row.aside))

    assert [path.read_text() for path in kept] == ["SECRET=2\n", "SECRET=3\n"]
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600, 0o600]
    assert other.read_text() == "SECRET=1\n"


def test_a_tracked_file_is_neither_shared_nor_replaced(repository: Repository, git: Git) -> None:
    main, second = trees(repository)
    Path(second.path, ".env").write_text("SECRET=1\n")
    git("add", "-f", ".env", cwd=second.path)
    sharing.share(repository, main, ".env")

    (row,) = sharing.link(repository, second, (".env",), asked=True, override=True)

    assert (row.outcome, row.detail) == (Outcome.CONFLICT, "git tracks it")
    assert not os.path.islink(f"{second.path}/.env")
    with pytest.raises(CannotShare, match="is tracked"):
        sharing.share(repository, main, "file")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda top: None, "does not exist"),
        (lambda top: (top / "x").mkdir(), "a directory is there"),
        (lambda top: (top / "x").symlink_to("/etc/hostname"), "a link to /etc/hostname is there"),
        (lambda top: os.mkfifo(top / "x"), "no plain file is there"),
    ],
)
def test_what_is_no_plain_file_cannot_be_shared(
    repository: Repository, make: Callable[[Path], None], reason: str
) -> None:
    main, _ = trees(repository)
    make(Path(main.path))

    with pytest.raises(CannotShare, match=reason):
        sharing.share(repository, main, "x")

    assert not os.path.lexists(stored_path(repository.common_dir, "x"))


def test_nothing_is_linked_through_a_link_or_into_another_repository(
    repository: Repository, git: Git, tmp_path: Path
) -> None:
    main, second = trees(repository)
    for name in ("conf/a", "sub/a"):
        Path(main.path, name).parent.mkdir()
        Path(main.path, name).write_text("a\n")
        sharing.share(repository, main, name)
    (tmp_path / "outside").mkdir()
    Path(second.path, "conf").symlink_to(tmp_path / "outside")
    Path(second.path, "sub").mkdir()
    git("init", "-q", cwd=f"{second.path}/sub")

    rows = sharing.link(repository, second, ("conf/a", "sub/a"), asked=True, override=True)

    assert [(row.outcome, row.detail) for row in rows] == [
        (Outcome.CONFLICT, "conf is a link"),
        (Outcome.CONFLICT, "sub is another repository"),
    ]
    assert list((tmp_path / "outside").iterdir()) == []


def test_nothing_is_touched_where_something_else_sits_on_the_path(
    repository: Repository, git: Git
) -> None:
    main, second = trees(repository)
    sharing.share(repository, main, ".env")
    sharing.link(repository, second, (".env",))
    os.rename(second.path, f"{second.path}.away")
    os.mkdir(second.path)
    git("init", "-q", cwd=second.path)
    Path(second.path, ".env").write_text("SECRET=1\n")
    before = sorted(os.listdir(second.path))
    (there,) = (one for one in repository.refreshed().worktrees if one.path == second.path)

    (row,) = sharing.link(repository, there, (".env",), asked=True, override=True)
    own = sharing.materialize(repository, there, ".env", override=True)
    rows = sharing.unshare(repository, (main, there), ".env", delete=True)

    assert (row.outcome, own.outcome) == (Outcome.CONFLICT, Outcome.CONFLICT)
    assert row.detail == "something else is where git has this worktree"
    assert [one.outcome for one in rows] == [Outcome.DELETED, Outcome.KEPT]
    assert sorted(os.listdir(second.path)) == before
    assert not os.path.islink(f"{second.path}/.env")


def test_links_that_git_does_not_ignore_are_kept_out_of_its_sight(
    repository: Repository, git: Git
) -> None:
    main, second = trees(repository)
    names = ("conf/local [1].json", "a*b", "trailing ")
    for name in names:
        Path(main.path, name).parent.mkdir(exist_ok=True)
        Path(main.path, name).write_text("x\n")
        sharing.share(repository, main, name)
    with Path(repository.common_dir, "info", "exclude").open("a") as file:
        file.write("# no newline")
    sharing.link(repository, second, names)
    sharing.link(repository, second, names)

    for tree in (main, second):
        assert git("status", "--short", cwd=tree.path) == ""
    exclude = Path(repository.common_dir, "info", "exclude").read_text()
    assert exclude.count("local") == 1
    assert ".env" not in exclude


def test_a_copy_of_its_own_is_remembered_until_a_link_is_asked_for(
    repository: Repository,
) -> None:
    main, second = trees(repository)
    sharing.share(repository, main, ".env")
    sharing.link(repository, second, (".env",))

    row = sharing.materialize(repository, second, ".env")

    own = Path(second.path, ".env")
    assert row.outcome is Outcome.COPIED
    assert not own.is_symlink()
    assert (own.read_text(), own.stat().st_mode & 0o777) == ("SECRET=1\n", 0o600)
    assert state(repository, second) is State.LOCAL
    (kept,) = sharing.link(repository, second, (".env",))
    assert kept.outcome is Outcome.KEPT
    own.write_text("SECRET=2\n")
    assert sharing.link(repository, second, (".env",))[0].outcome is Outcome.KEPT
    assert state(repository, second) is State.LOCAL
    (refused,) = sharing.link(repository, second, (".env",), asked=True)
    assert refused.outcome is Outcome.CONFLICT
    own.write_text("SECRET=1\n")
    (linked,) = sharing.link(repository, second, (".env",), asked=True)
    assert linked.outcome is Outcome.LINKED
    assert private.read(second) == frozenset()


def test_a_file_of_its_own_settles_a_conflict_when_it_is_to_stay(repository: Repository) -> None:
    main, second = trees(repository)
    own = Path(second.path, ".env")
    own.write_text("SECRET=2\n")
    sharing.share(repository, main, ".env")

    kept = sharing.materialize(repository, second, ".env")
    assert (kept.outcome, own.read_text()) == (Outcome.KEPT, "SECRET=2\n")
    assert state(repository, second) is State.LOCAL
    replaced = sharing.materialize(repository, second, ".env", override=True)

    assert (replaced.outcome, own.read_text()) == (Outcome.COPIED, "SECRET=1\n")
    assert replaced.aside is not None
    assert Path(replaced.aside).read_text() == "SECRET=2\n"


def test_what_is_shared_no_more_is_copied_back_everywhere(repository: Repository) -> None:
    main, second = trees(repository)
    third = start(repository, "third")
    Path(third.path, ".env").write_text("SECRET=3\n")
    sharing.share(repository, main, ".env")
    sharing.link(repository, second, (".env",))

    rows = sharing.unshare(repository, (main, second, third), ".env")

    assert [row.outcome for row in rows] == [Outcome.COPIED, Outcome.COPIED, Outcome.KEPT]
    texts = [Path(tree.path, ".env").read_text() for tree in (main, second, third)]
    assert texts == ["SECRET=1\n", "SECRET=1\n", "SECRET=3\n"]
    assert not any(os.path.islink(f"{tree.path}/.env") for tree in (main, second, third))
    assert not os.path.exists(f"{repository.common_dir}/.daft/shared")


def test_what_is_shared_no_more_may_be_deleted_and_other_files_stay(
    repository: Repository,
) -> None:
    main, second = trees(repository)
    Path(second.path, ".env").write_text("SECRET=2\n")
    sharing.share(repository, main, ".env")

    rows = sharing.unshare(repository, (main, second), ".env", delete=True)

    assert [row.outcome for row in rows] == [Outcome.DELETED, Outcome.KEPT]
    assert not os.path.lexists(f"{main.path}/.env")
    assert Path(second.path, ".env").read_text() == "SECRET=2\n"
    assert not os.path.lexists(stored_path(repository.common_dir, ".env"))


def test_what_could_not_be_copied_back_stays_shared(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, second = trees(repository)
    sharing.share(repository, main, ".env")
    sharing.link(repository, second, (".env",))
    monkeypatch.setattr(
        sharing.links, "swap_in_copy", lambda *_: (_ for _ in ()).throw(OSError(28, "full"))
    )

    rows = sharing.unshare(repository, (main, second), ".env")

    assert [(row.outcome, row.detail) for row in rows] == [(Outcome.FAILED, "full")] * 2
    assert Path(second.path, ".env").read_text() == "SECRET=1\n"


def test_the_links_of_a_moved_worktree_are_made_again(repository: Repository, git: Git) -> None:
    main, second = trees(repository)
    sharing.share(repository, main, ".env")
    sharing.link(repository, second, (".env",))
    deeper = f"{os.path.dirname(second.path)}/further/down"
    os.makedirs(os.path.dirname(deeper))
    git("worktree", "move", second.path, deeper, cwd=main.path)
    moved = repository.refreshed().worktrees[1]
    assert state(repository, moved) is State.MISSING

    mended = sharing.mend(repository.common_dir, moved)
    assert [row.outcome for row in mended] == [Outcome.LINKED]

    assert Path(deeper, ".env").read_text() == "SECRET=1\n"
    assert sharing.mend(repository.common_dir, moved) == []
    git("worktree", "move", deeper, second.path, cwd=main.path)
    (row,) = sharing.link(repository, second, (".env",))
    assert row.outcome is Outcome.LINKED
    assert Path(second.path, ".env").read_text() == "SECRET=1\n"


def test_links_to_what_somebody_deleted_are_no_links(repository: Repository) -> None:
    main, second = trees(repository)
    sharing.share(repository, main, ".env")
    sharing.link(repository, second, (".env",))
    os.unlink(stored_path(repository.common_dir, ".env"))

    assert state(repository, main) is State.MISSING
    with pytest.raises(CannotShare, match="does not exist"):
        sharing.share(repository, main, ".env")
    os.unlink(f"{main.path}/.env")
    Path(main.path, ".env").write_text("SECRET=4\n")
    sharing.share(repository, main, ".env")
    assert Path(second.path, ".env").read_text() == "SECRET=4\n"
    os.unlink(stored_path(repository.common_dir, ".env"))
    rows = sharing.unshare(repository, (main, second), ".env")
    assert [row.outcome for row in rows] == [Outcome.DELETED, Outcome.DELETED]


def test_a_worktree_that_is_renamed_keeps_its_links(repository: Repository) -> None:
    main, _ = trees(repository)
    sharing.share(repository, main, ".env")
    deep = Layout("deep", "{{ repo }}.trees/{{ branch }}", False)
    tree = create(plan_start(repository, "flat", layout=deep, data_dir="/n"))
    sharing.link(repository, tree, (".env",))
    repository = repository.refreshed()

    planned = plan_rename(repository, "flat", "much/deeper", layout=deep, data_dir="/n")
    with under_way(planned) as renaming:
        moved = renaming.carry_out()

    assert moved is not None
    assert moved.path.endswith("much/deeper")
    assert Path(moved.path, ".env").read_text() == "SECRET=1\n"


def test_a_move_makes_no_links_that_were_not_there(repository: Repository) -> None:
    main, second = trees(repository)
    sharing.share(repository, main, ".env")
    Path(second.path, ".env").symlink_to("/nowhere/.git/.daft/shared/other")

    assert sharing.mend(repository.common_dir, second) == []
    assert os.readlink(f"{second.path}/.env") == "/nowhere/.git/.daft/shared/other"


def test_what_one_worktree_has_may_become_the_shared_one(repository: Repository) -> None:
    main, second = trees(repository)
    sharing.share(repository, main, ".env")
    own = Path(second.path, ".env")
    own.write_text("SECRET=2\n")  # as an editor leaves it that replaces links
    with pytest.raises(CannotShare, match="says something else here"):
        sharing.share(repository, second, ".env")

    row = sharing.share(repository, second, ".env", override=True)

    assert row.outcome is Outcome.LINKED
    assert row.aside is not None
    assert Path(row.aside).read_text() == "SECRET=1\n"
    assert [Path(tree.path, ".env").read_text() for tree in (main, second)] == ["SECRET=2\n"] * 2
    assert own.is_symlink()


def test_what_is_shared_may_lie_on_another_file_system(repository: Repository) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == os.stat(repository.cwd).st_dev:
        pytest.skip("there is no other file system to try")
    main, second = trees(repository)
    with tempfile.TemporaryDirectory(dir=elsewhere) as place:
        Path(repository.common_dir, ".daft", "shared").symlink_to(place)
        sharing.share(repository, main, ".env")
        sharing.link(repository, second, (".env",))

        assert os.listdir(place) == [".env"]
        assert Path(place, ".env").stat().st_mode & 0o777 == 0o600
        assert Path(second.path, ".env").read_text() == "SECRET=1\n"


def test_no_git_is_started_while_nothing_is_shared(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr(git_module, "observer", started.append)
    _, second = trees(repository)

    (row,) = sharing.link(repository, second, (".env",))

    assert (row.outcome, started) == (Outcome.NOT_STORED, [])


def test_nobody_else_looks_into_where_shared_files_are_kept(repository: Repository) -> None:
    main, _ = trees(repository)
    deep = Path(main.path, "a/b/c")
    deep.parent.mkdir(parents=True)
    deep.write_text("c\n")

    sharing.share(repository, main, "a/b/c")

    top = Path(stored_path(repository.common_dir, "a")).parent
    modes = {path.stat().st_mode & 0o777 for path in (top, top / "a", top / "a" / "b")}
    assert modes == {0o700}


def test_whoever_shares_nothing_loads_nothing_of_it() -> None:
    code = (
        "import sys, daft_worktree.guards, daft_worktree.relocation, daft_worktree.creation\n"
        "print([name for name in sys.modules if name.startswith('daft_worktree.sharing')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_making_links_starts_two_gits_however_many_there_are(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, second = trees(repository)
    names = [f"f{number}" for number in range(20)]
    for name in names:
        Path(main.path, name).write_text(name)
        sharing.share(repository, main, name)
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr(git_module, "observer", started.append)

    sharing.link(repository, second, (".env", *names))

    assert len(started) <= 2
    assert all(state(repository, second, name) is State.LINKED for name in names)


def test_links_keep_no_worktree_and_nothing_shared_goes_with_one(
    repository: Repository, git: Git
) -> None:
    main, _ = trees(repository)
    Path(main.path, "conf").mkdir()
    Path(main.path, "conf/a").write_text("a\n")
    for name in (".env", "conf/a"):
        sharing.share(repository, main, name)
    # Whoever empties this file, or clones with another one, sees the links as untracked.
    Path(repository.common_dir, "info", "exclude").write_text("")
    third = start(repository, "third")
    sharing.link(repository, third, (".env", "conf/a"))
    Path(repository.common_dir, "info", "exclude").write_text("")
    assert git("status", "--short", cwd=third.path) == "?? conf/"

    repository = repository.refreshed()
    for target in plan_removal(repository, ("third", "second")):
        remove(repository, target)
    reap_trash(repository.common_dir)

    assert not os.path.exists(third.path)
    assert Path(main.path, ".env").read_text() == "SECRET=1\n"
    assert Path(stored_path(repository.common_dir, "conf/a")).read_text() == "a\n"


def test_a_copy_of_its_own_keeps_its_worktree_once_it_says_something_else(
    repository: Repository,
) -> None:
    main, second = trees(repository)
    sharing.share(repository, main, ".env")
    sharing.materialize(repository, second, ".env")
    Path(main.path, ".env").rename(f"{main.path}/.env.there")  # no other worktree has it
    assert plan_removal(repository, ("second",))
    Path(second.path, ".env").write_text("SECRET=2\n")

    with pytest.raises(Refused, match="ignored files that are nowhere else"):
        plan_removal(repository, ("second",))


def test_a_write_at_the_moment_of_sharing_is_kept(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, second = trees(repository)
    sharing.share(repository, main, ".env")
    own = Path(second.path, ".env")
    own.write_text("SECRET=1\n")
    really = sharing.links.swap_in_link

    def late(path: str, text: str, common_dir: str) -> None:
        own.write_text("SECRET=late\n")
        really(path, text, common_dir)

    monkeypatch.setattr(sharing.links, "swap_in_link", late)
    (row,) = sharing.link(repository, second, (".env",))

    assert row.aside is not None
    assert Path(row.aside).read_text() == "SECRET=late\n"


def test_a_worktree_on_another_file_system_has_links_as_well(
    repository: Repository, git: Git
) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == os.stat(repository.cwd).st_dev:
        pytest.skip("there is no other file system to try")
    main, _ = trees(repository)
    with tempfile.TemporaryDirectory(dir=elsewhere) as place:
        git("worktree", "add", "-q", "-b", "far", f"{place}/far", cwd=main.path)
        (far,) = (one for one in repository.refreshed().worktrees if one.branch == "far")
        own = Path(far.path, "key")
        own.write_text("k\n")
        own.chmod(0o600)

        sharing.share(repository, far, "key")
        sharing.link(repository, far, (".env", "key"))
        assert own.is_symlink()
        stored = Path(stored_path(repository.common_dir, "key"))
        assert (stored.read_text(), stored.stat().st_mode & 0o777) == ("k\n", 0o600)
        sharing.materialize(repository, far, "key")
        assert (own.is_symlink(), own.read_text()) == (False, "k\n")
        assert sorted(os.listdir(far.path)) == [".git", ".gitignore", "file", "key"]


@pytest.mark.parametrize("has", Has)
@pytest.mark.parametrize("facts", list(product((True, False), repeat=4)))
def test_only_what_says_the_same_is_replaced_unless_that_is_asked_for(
    repository: Repository, has: Has, facts: tuple[bool, bool, bool, bool]
) -> None:
    stored, private, asked, override = facts
    spot = Spot(repository.worktrees[0], ".env", has, stored, private)

    linking = link_verdict(spot, asked=asked, override=override)
    copying = copy_verdict(spot, override=override)

    if not stored:
        assert linking is copying is Verdict.NOT_STORED
    if has in (Has.TRACKED, Has.BLOCKED) and stored:
        assert linking is copying is Verdict.CONFLICT
    if has is Has.OTHER:
        assert linking not in (Verdict.LINK, Verdict.SWAP)
        assert copying is not Verdict.COPY
    if Verdict.REPLACE in (linking, copying):
        assert has is Has.OTHER
        assert override
    if private and not asked and not override and has in (Has.SAME, Has.OTHER) and stored:
        assert linking is Verdict.PRIVATE


def test_without_hard_links_files_are_copied(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    main, second = trees(repository)
    monkeypatch.setattr(os, "link", refuse)
    really = os.replace

    def replace(old: str, new: str) -> None:
        if os.path.dirname(old).startswith(repository.common_dir) and "/.git/" not in new:
            raise OSError(18, "Invalid cross-device link")
        really(old, new)

    monkeypatch.setattr(os, "replace", replace)
    sharing.share(repository, main, ".env")
    sharing.link(repository, second, (".env",))
    sharing.materialize(repository, second, ".env")

    stored = Path(stored_path(repository.common_dir, ".env"))
    assert (stored.read_text(), stored.stat().st_mode & 0o777) == ("SECRET=1\n", 0o600)
    assert Path(second.path, ".env").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(main.path)) == [".env", ".git", ".gitignore", "file"]
    assert sorted(os.listdir(second.path)) == [".env", ".git", ".gitignore", "file"]
    assert os.listdir(f"{repository.common_dir}/.daft/sharing") == []
