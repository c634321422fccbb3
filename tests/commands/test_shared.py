"""`daft shared` and the links that worktrees begin with."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

CONFIG = (
    "# ours\nshared:\n  - .env  # secrets\n"
    "hooks: {worktree-post-create: {jobs: [{name: a, run: 'cat .env > seen'}]}}\n"
)


@pytest.fixture
def project(home: Any) -> Path:
    """A repository that shares a `.env`, with its file in place."""
    path: Path = home.repository(CONFIG)
    (path / ".git" / "info" / "exclude").write_text("seen\n")
    stored = path / ".git" / ".daft" / "shared"
    stored.mkdir(parents=True)
    (stored / ".env").write_text("S=1\n")
    return path


def test_a_new_worktree_has_the_links_before_its_hooks_run(home: Any, project: Path) -> None:
    done = home.daft("start", "x", cwd=project)

    tree = home.root / "project.x"
    assert (done.returncode, done.stderr.count("warning")) == (0, 0), done.stderr
    assert os.readlink(tree / ".env") == "../project/.git/.daft/shared/.env"
    assert (tree / "seen").read_text() == "S=1\n"
    assert home.git("status", "--short", cwd=tree) == ""
    assert home.daft("remove", "x", cwd=project).returncode == 0
    assert (project / ".git" / ".daft" / "shared" / ".env").read_text() == "S=1\n"


def test_what_is_declared_and_not_committed_is_linked_as_well(home: Any, project: Path) -> None:
    (project / ".git" / ".daft" / "shared" / "key").write_text("k\n")
    (project / "daft.yml").write_text(CONFIG.replace(".env  #", "key\n  - .env  #"))
    home.git("branch", "old", cwd=project)

    done = home.daft("go", "old", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "project.old" / "key").read_text() == "k\n"


def test_a_file_of_the_branch_is_not_replaced_by_a_link(home: Any, project: Path) -> None:
    (project / ".env").write_text("tracked\n")
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "env", cwd=project)

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0
    assert "warning: .env is not linked in 'x': git tracks it" in done.stderr
    assert (home.root / "project.x" / ".env").read_text() == "tracked\n"


def test_a_clone_has_what_its_first_hook_has_shared(home: Any) -> None:
    share = "mkdir -p .git/.daft/shared; echo fetched > .git/.daft/shared/.env"
    origin = home.repository(
        f"shared: .env\nhooks: {{post-clone: {{jobs: [{{name: a, run: '{share}'}}]}}}}\n",
        name="origin",
    )

    done = home.daft("clone", "--trust-hooks", str(origin), "copy", cwd=home.root)

    assert done.returncode == 0, done.stderr
    assert (home.root / "copy" / ".env").read_text() == "fetched\n"
    assert (home.root / "copy" / ".env").is_symlink()


@pytest.fixture
def three(home: Any) -> Path:
    """A repository with worktrees x and y; main has a `.env`, y another one."""
    path: Path = home.repository("# ours\nhooks: {}  # none\n")
    (path / ".git" / "info" / "exclude").write_text(".env\n")
    (path / "tracked").write_text("")
    home.git("add", "tracked", cwd=path)
    home.git("commit", "-qm", "tracked", cwd=path)
    for name in ("x", "y"):
        home.daft("start", name, cwd=path)
    (path / ".env").write_text("S=1\n")
    (path / ".env").chmod(0o600)
    (home.root / "project.y" / ".env").write_text("S=3\n")
    return path


def states(home: Any, project: Path) -> dict[tuple[str, str], str]:
    done = home.daft("shared", "status", "--format", "json", cwd=project)
    assert done.returncode == 0, done.stderr
    return {(row["path"], row["worktree"]): row["state"] for row in json.loads(done.stdout)}


def test_a_file_is_shared_with_all_worktrees_and_none_is_overwritten(
    home: Any, three: Path
) -> None:
    done = home.daft("shared", "add", ".env", cwd=three)

    assert (done.returncode, done.stdout) == (
        0,
        ".env: linked in main, x\nadded to daft.yml; commit it, for other branches and clones\n",
    )
    assert "warning: .env was left alone in 'y': another file is there" in done.stderr
    assert (three / "daft.yml").read_text() == "# ours\nhooks: {}  # none\nshared:\n  - .env\n"
    assert (home.root / "project.x" / ".env").read_text() == "S=1\n"
    assert (home.root / "project.y" / ".env").read_text() == "S=3\n"
    assert states(home, three) == {
        (".env", "main"): "linked", (".env", "x"): "linked", (".env", "y"): "conflict",
    }  # fmt: skip
    assert home.daft("shared", "sync", cwd=three).returncode == 1
    taken = home.daft("shared", "link", ".env", "y", "--override", cwd=three)
    assert taken.returncode == 0
    kept = three / ".git" / ".daft" / "discarded" / "y" / ".env"
    assert f"is kept: {kept.relative_to(three)}" in taken.stderr
    assert kept.read_text() == "S=3\n"
    assert home.daft("shared", "sync", cwd=three).stdout == "nothing to link\n"


def test_an_editor_that_replaced_the_link_can_be_made_up_for(home: Any, three: Path) -> None:
    home.daft("shared", "add", ".env", cwd=three)
    own = home.root / "project.x" / ".env"
    own.unlink()
    own.write_text("S=2\n")
    refused = home.daft("shared", "add", ".env", cwd=own.parent)

    done = home.daft("shared", "add", ".env", "--override", cwd=own.parent)

    assert refused.returncode == 1
    assert "`--override` makes this the shared one" in refused.stderr
    assert done.returncode == 0
    assert "is kept: " in done.stderr
    assert (three / ".env").read_text() == "S=2\n"


def test_a_worktree_may_have_its_own_and_everything_be_undone(home: Any, three: Path) -> None:
    home.daft("shared", "add", ".env", cwd=three)
    own = home.daft("shared", "materialize", ".env", "x", cwd=three)
    home.daft("shared", "materialize", ".env", "y", cwd=three)
    assert (own.returncode, own.stdout) == (0, ".env: a copy of its own in x\n")
    assert home.daft("shared", "sync", cwd=three).returncode == 0
    assert set(states(home, three).values()) == {"linked", "local"}

    shown = home.daft("shared", "remove", "-n", ".env", cwd=three)
    done = home.daft("shared", "remove", ".env", cwd=three)

    assert shown.stdout == ".env: would put a copy in place of the link in main\n"
    assert done.stdout == ".env: a copy of its own in main\nremoved from daft.yml\n"
    assert (three / "daft.yml").read_text() == "# ours\nhooks: {}  # none\nshared: []\n"
    files = [three / ".env", *(home.root / f"project.{name}" / ".env" for name in "xy")]
    assert [file.read_text() for file in files] == ["S=1\n", "S=1\n", "S=3\n"]
    assert not any(file.is_symlink() for file in files)
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert states(home, three) == {}


def test_shared_files_may_be_deleted(home: Any, three: Path) -> None:
    home.daft("shared", "add", ".env", cwd=three)

    done = home.daft("shared", "remove", "--delete", ".env", cwd=three)

    assert done.stdout.startswith(".env: deleted in main, x\n")
    assert not (three / ".env").is_symlink()
    assert (home.root / "project.y" / ".env").read_text() == "S=3\n"


def test_sharing_undoes_no_consent(home: Any) -> None:
    project = home.repository(CONFIG.replace("shared:\n  - .env  # secrets\n", ""))
    (project / ".git" / "info" / "exclude").write_text("seen\n.env\n")
    (project / ".env").write_text("S=1\n")
    home.daft("shared", "add", ".env", cwd=project)

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (home.root / "project.x" / "seen").read_text() == "S=1\n"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("add",), 2, "PATH"),
        (("add", "/etc/passwd"), 1, "is an absolute path"),
        (("add", "../p/.env"), 1, "leads out of the directory"),
        (("add", ".git/config"), 1, "cannot be the name of a shared file"),
        (("add", "x" * 300), 1, "cannot be shared: File name too long"),
        (("add", "."), 1, "cannot be the name of a shared file"),
        (("add", "nope"), 1, "nope does not exist"),
        (("add", "tracked"), 1, "tracked is tracked by git"),
        (("add", "--declare", "tracked"), 1, "tracked is tracked by git"),
        (("add", "daft.yml"), 1, "is the configuration"),
        (("add", "daft.yaml"), 1, "is the configuration, which comes along"),
        (("add", ".env/x"), 1, "cannot be shared: .env is a file"),
        (("add", "a", "a/b", "--declare"), 1, "lie in one another"),
        (("link", ".env"), 1, ".env is not shared"),
        (("link", ".env", "nope"), 1, "'nope' is no worktree"),
        (("materialize", ".env"), 1, ".env is not shared"),
        (("remove", ".env"), 1, ".env is not shared"),
        (("status", "--format", "xml"), 2, "invalid choice"),
        (("add", "x", "--declare", "--override"), 2, "not allowed with"),
        (("ad",), 2, "did you mean add?"),
    ],
)
def test_wrong_words_are_told_and_change_nothing(
    home: Any, three: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    before = (three / "daft.yml").read_text()

    done = home.daft("shared", *words, cwd=three)

    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert (three / "daft.yml").read_text() == before
    assert not (three / ".git" / ".daft" / "shared").exists()
    assert home.git("status", "--short", cwd=three) == ""


def test_files_are_named_as_seen_from_where_one_stands(home: Any, three: Path) -> None:
    (three / "sub").mkdir()
    (three / "sub" / "key").write_text("k\n")

    told = home.daft("shared", "link", "a key", cwd=three / "sub")
    assert "share it: daft shared add 'sub/a key'" in told.stderr

    done = home.daft("shared", "add", "./key", cwd=three / "sub")

    assert done.stdout.startswith("sub/key: linked in main, x, y\n")
    for tree in (three, home.root / "project.x"):
        assert (tree / "sub" / "key").read_text() == "k\n"
        assert "key" not in home.git("status", "--short", "-uall", cwd=tree)


def test_without_a_configuration_one_is_begun(home: Any) -> None:
    project = home.repository()
    (project / ".env").write_text("S=1\n")

    done = home.daft("shared", "add", ".env", cwd=project)

    assert done.returncode == 0, done.stderr
    assert (project / "daft.yml").read_text() == "shared:\n  - .env\n"
    home.daft("start", "x", cwd=project)
    assert (home.root / "project.x" / ".env").read_text() == "S=1\n"
    assert home.daft("remove", "x", cwd=project).returncode == 0


def test_the_file_that_says_it_is_the_one_that_is_changed(home: Any, three: Path) -> None:
    (three / "daft.local.yml").write_text("shared: [a] # mine\n")
    before = (three / "daft.yml").read_text()

    done = home.daft("shared", "add", ".env", cwd=three)

    assert "added to daft.local.yml" in done.stdout
    assert (three / "daft.local.yml").read_text() == "shared: [a, .env] # mine\n"
    assert (three / "daft.yml").read_text() == before


def test_a_file_that_cannot_be_edited_says_what_to_write(home: Any, three: Path) -> None:
    (three / "daft.yml").write_text("x-s: &s [a]\nshared: *s\n")

    done = home.daft("shared", "add", ".env", cwd=three)

    assert done.returncode == 1
    assert "daft.yml cannot be changed" in done.stderr
    assert "write it there yourself: shared: - a - .env" in done.stderr
    assert (three / ".env").read_text() == "S=1\n"


def test_status_for_people_says_what_to_do(home: Any, three: Path) -> None:
    empty = home.daft("shared", cwd=three)
    home.daft("shared", "add", ".env", cwd=three)
    home.daft("shared", "add", "--declare", "later", cwd=three)
    home.git("checkout", "-q", "daft.yml", cwd=three)
    (three / "daft.yml").write_text("shared: later\n")

    code, shown = home.on_terminal("shared", cwd=three, NO_COLOR="1")
    _, narrow = home.on_terminal("shared", "status", cwd=three, NO_COLOR="1", COLUMNS="20")

    assert (empty.returncode, empty.stdout) == (0, "")
    assert "nothing is shared" in empty.stderr
    assert code == 0
    assert shown.splitlines() == [
        "       main     x        y",
        "later  missing  missing  missing",
        ".env   linked   linked   conflict",
        "later is not shared yet: daft shared add later",
        ".env is not in daft.yml: daft shared add --declare .env",
        ".env in 'y': another file is there",
    ]
    assert ".env   x     linked" in narrow


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "tsv", "yaml", "markdown"])
def test_every_format_has_every_row(home: Any, three: Path, form: str) -> None:
    home.daft("shared", "add", ".env", cwd=three)

    done = home.daft("shared", "status", "--format", form, cwd=three)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("linked") == 2
    assert "another file is there" in done.stdout


def test_files_shared_at_once_are_all_declared(home: Any, three: Path) -> None:
    names = [f"f{number}" for number in range(8)]
    for name in names:
        (three / name).write_text(name)

    running = [home.start_daft("shared", "add", name, cwd=three) for name in names]
    ends = [(one.communicate(timeout=120), one.returncode) for one in running]

    assert [code for _, code in ends] == [0] * 8, ends
    assert sorted(states(home, three)) == sorted(
        (name, tree) for name in names for tree in ("main", "x", "y")
    )
    assert set(states(home, three).values()) == {"linked"}
    assert (three / "daft.yml").read_text().count("- f") == 8


def test_the_root_of_a_bare_layout_has_a_worktree_speak_for_it(home: Any) -> None:
    origin = home.repository("shared: .env\n", name="origin")
    home.daft("clone", "--layout", "contained", str(origin), "bare", cwd=home.root)
    root = home.root / "bare"
    (root / "main" / ".env").write_text("S=1\n")

    refused = home.daft("shared", "add", ".env", cwd=root)
    home.daft("shared", "add", ".env", cwd=root / "main")
    (root / "main" / ".env").unlink()
    synced = home.daft("shared", "sync", cwd=root)

    assert refused.returncode == 1
    assert "Not in a Git worktree" in refused.stderr
    assert synced.stdout == ".env: linked in main\n"
    assert (root / "main" / ".env").read_text() == "S=1\n"


def test_an_addition_that_was_killed_is_finished_by_the_same_again(home: Any, three: Path) -> None:
    killed = (
        "import daft_worktree as d\nfrom daft_worktree import sharing\n"
        "here = d.discover('.')\nsharing.share(here, here.current, '.env')\n"
    )
    assert home.run(sys.executable, "-c", killed, cwd=three).returncode == 0
    between = home.daft("shared", cwd=three)

    done = home.daft("shared", "add", ".env", cwd=three)

    assert ".env is not in daft.yml: daft shared add --declare .env" in between.stdout
    assert (
        done.stdout
        == ".env: linked in main, x\nadded to daft.yml; commit it, for other branches and clones\n"
    )


def test_what_is_declared_and_not_shared_is_told_when_links_are_made(
    home: Any, three: Path
) -> None:
    (three / "daft.yml").write_text("shared: [.env, later]\n")
    (three / "later").write_text("l\n")
    home.daft("shared", "add", "later", cwd=three)
    (home.root / "project.x" / "later").unlink()

    done = home.daft("shared", "sync", cwd=three)

    assert (done.returncode, done.stdout) == (0, "later: linked in x\n")
    assert "warning: .env is declared, and nobody has shared it" in done.stderr


def test_a_worktree_that_is_out_of_reach_is_told_of(home: Any, three: Path) -> None:
    home.daft("shared", "add", ".env", cwd=three)
    away = home.root / "away"
    (home.root / "project.x").rename(away)

    done = home.daft("shared", "remove", ".env", cwd=three)

    assert done.returncode == 0
    assert "warning: 'x' is not there now; its links lead nowhere when it comes back" in done.stderr
    away.rename(home.root / "project.x")
    shown = home.daft("shared", "status", "--format", "tsv", cwd=three)
    assert shown.stdout.splitlines()[1:] == []
    assert home.daft("remove", "x", cwd=three).returncode == 0


def test_what_is_copied_anew_has_its_links_again(home: Any) -> None:
    project = home.repository("copy: [conf]\nshared: conf/key\n")
    (project / ".git" / "info" / "exclude").write_text("conf/\n")
    (project / "conf").mkdir()
    (project / "conf" / "a").write_text("a\n")
    (project / "conf" / "key").write_text("k\n")
    home.daft("shared", "add", "conf/key", cwd=project)
    home.daft("start", "x", cwd=project)
    tree = home.root / "project.x"
    assert [(tree / "conf" / name).read_text() for name in ("a", "key")] == ["a\n", "k\n"]

    done = home.daft("warm", "--force", "x", cwd=project)

    assert done.returncode == 0, done.stderr
    assert os.readlink(tree / "conf" / "key") == "../../project/.git/.daft/shared/conf/key"
