"""The catalog of repositories: who is in it, by which name, and what `--repo` finds there."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

POST = "hooks: {{worktree-post-create: {{jobs: [{}]}}}}\n"


def rows(home: Any) -> dict[str, dict[str, Any]]:
    """Return the catalog by name, newest of a name last."""
    path = home.root / "data" / "catalog" / "catalog.db"
    if not path.exists():
        return {}
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    found = [dict(row) for row in db.execute("SELECT * FROM catalog_repos ORDER BY removed_at")]
    db.close()
    return {row["name"]: row for row in found}


@pytest.mark.parametrize("words", [["list"], ["go", "main"], ["start", "x"]], ids=" ".join)
def test_working_in_a_repository_takes_it_up(home: Any, words: list[str]) -> None:
    project = home.repository()

    done = home.daft(*words, cwd=project)

    assert done.returncode == 0
    assert "warning" not in done.stderr
    [row] = rows(home).values()
    assert row["name"] == "project"
    assert row["path"] == str(project)
    assert row["default_branch"] == "main"
    assert row["uuid"] == (project / ".git" / "daft-id").read_text()


def test_making_and_cloning_take_up_as_well(home: Any) -> None:
    assert home.daft("init", "made", cwd=home.root).returncode == 0
    source = home.repository(name="source")
    clone = home.daft("clone", f"file://{source}", "copy", cwd=home.root)

    assert clone.returncode == 0, clone.stderr
    found = rows(home)
    assert set(found) == {"made", "source"}
    assert found["source"]["path"].startswith(str(home.root / "copy"))
    assert found["source"]["remote_url"] == f"file://{source}"


def test_nothing_is_written_where_nothing_has_changed(home: Any) -> None:
    project = home.repository()
    home.daft("list", cwd=project)
    before = rows(home)

    for words in (["list"], ["go", "main"], ["list", "--format", "json"]):
        assert home.daft(*words, cwd=project).returncode == 0

    assert rows(home) == before


def test_where_nothing_has_changed_the_catalog_is_not_even_opened(home: Any) -> None:
    project = home.repository()
    home.daft("list", cwd=project)
    path = home.root / "data" / "catalog" / "catalog.db"
    kept = path.read_bytes()
    path.write_bytes(b"whoever opens this complains" * 300)

    for words in (["list"], ["go", "main"]):
        assert home.daft(*words, cwd=project).stderr == ""
    path.write_bytes(kept)


@pytest.mark.parametrize("what", ["remote", "default", "elsewhere", "deleted", "removed"])
def test_what_has_changed_is_told_to_the_catalog(home: Any, what: str) -> None:
    project = home.repository()
    home.daft("list", cwd=project)
    data = home.root / "data"
    match what:
        case "remote":
            home.git("remote", "add", "origin", "https://example.org/new", cwd=project)
        case "default":
            home.git("branch", "-m", "main", "trunk", cwd=project)
        case "elsewhere":
            data = home.root / "other"
            home.environment["DAFT_DATA_DIR"] = str(data)
        case "deleted":
            shutil.rmtree(data)
        case "removed":
            home.daft("repo", "remove", "project", cwd=home.root)

    home.daft("list", cwd=project)

    db = sqlite3.connect(data / "catalog" / "catalog.db")
    [row] = db.execute("SELECT remote_url, default_branch, removed_at FROM catalog_repos")
    db.close()
    url = "https://example.org/new" if what == "remote" else None
    assert row == (url, "trunk" if what == "default" else "main", None)


def test_a_repository_that_was_moved_is_found_where_it_is(home: Any) -> None:
    project = home.repository()
    home.daft("list", cwd=project)
    moved = project.rename(home.root / "moved")

    home.daft("list", cwd=moved)

    assert rows(home)["project"]["path"] == str(moved)


def test_a_copy_leaves_the_original_in_its_place(home: Any) -> None:
    project = home.repository()
    home.daft("list", cwd=project)
    shutil.copytree(project, home.root / "copy")

    done = home.daft("list", cwd=home.root / "copy")

    assert (done.returncode, done.stderr) == (0, "")
    assert rows(home)["project"]["path"] == str(project)


def test_a_submodule_is_no_place_to_go_to(home: Any) -> None:
    inner = home.repository(name="inner")
    outer = home.repository(name="outer")
    home.git(
        "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "sub", cwd=outer
    )

    assert home.daft("list", cwd=outer / "sub").returncode == 0
    assert rows(home) == {}


def test_secrets_of_a_remote_stay_out(home: Any) -> None:
    project = home.repository()
    home.git("remote", "add", "origin", "https://me:sesame@example.org/acme/api.git", cwd=project)

    home.daft("list", cwd=project)

    assert rows(home)["api"]["remote_url"] == "https://example.org/acme/api.git"
    for path in (home.root / "data").rglob("*"):
        assert path.is_dir() or b"sesame" not in path.read_bytes()


def test_a_catalog_that_cannot_be_had_is_a_warning(home: Any) -> None:
    project = home.repository()

    relative = home.daft("list", cwd=project, DAFT_DATA_DIR="relative")
    (home.root / "file").touch()
    blocked = home.daft("list", cwd=project, DAFT_DATA_DIR=str(home.root / "file"))

    for done in (relative, blocked):
        assert done.returncode == 0
        assert "main" in done.stdout
        assert done.stderr.startswith("warning: the")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["repo", "list"], ["repo", "info"]], ids=" ".join)
def test_a_damaged_catalog_is_renamed_and_begun_anew(home: Any, words: list[str]) -> None:
    project = home.repository()
    home.daft("list", cwd=project)
    path = home.root / "data" / "catalog" / "catalog.db"
    path.write_bytes(b"nothing SQLite knows" * 500)

    done = home.daft(*words, cwd=project)

    assert "renamed to" in done.stderr
    again = home.daft("list", cwd=project)
    assert (again.returncode, again.stderr) == (0, "")
    assert rows(home)["project"]["path"] == str(project)


# --- `--repo` -----------------------------------------------------------------------------------


@pytest.fixture
def recorded(home: Any) -> Path:
    """A repository called `api` with one recorded job."""
    project = home.repository(POST.format("{name: build, run: echo built}"), name="api")
    assert home.daft("start", "x", cwd=project).returncode == 0
    return Path(project)


LINES = ("--template", "{% for job in items %}{{ job.worktree }}/{{ job.name }}\n{% endfor %}")


@pytest.mark.parametrize("word", ["api", "./api", "{root}/api", "{id}", "{start}"])
def test_jobs_of_another_repository_are_found(home: Any, recorded: Path, word: str) -> None:
    identity = (recorded / ".git" / "daft-id").read_text()
    text = word.format(root=home.root, id=identity, start=identity[:8])

    listed = home.daft("jobs", "--repo", text, *LINES, cwd=home.root)
    logs = home.daft("jobs", "--repo", text, "logs", "x:build", "--raw", cwd=home.root)

    assert listed.stdout == "x/build\n", listed.stderr
    assert logs.stdout == "built\n", logs.stderr


@pytest.mark.parametrize("word", ["api", "./api"])
def test_jobs_of_a_repository_that_is_gone_are_found(home: Any, recorded: Path, word: str) -> None:
    shutil.rmtree(recorded)

    listed = home.daft("jobs", "--repo", word, *LINES, cwd=home.root)

    assert listed.stdout == "x/build\n", listed.stderr


def test_a_name_means_the_catalog_before_a_directory(home: Any, recorded: Path) -> None:
    decoy = home.root / "elsewhere"
    decoy.mkdir()
    home.git("init", "-q", "api", cwd=decoy)

    assert home.daft("jobs", "--repo", "api", *LINES, cwd=decoy).stdout == "x/build\n"


def test_an_unknown_name_is_an_error_with_what_is_near(home: Any, recorded: Path) -> None:
    near = home.daft("jobs", "--repo", "apu", cwd=home.root)
    far = home.daft("jobs", "--repo", "zzzzzz", cwd=home.root)

    assert near.returncode == far.returncode == 1
    assert "did you mean api?" in near.stderr
    assert "known: api" in far.stderr
    assert "did you mean" not in far.stderr


def test_an_empty_catalog_says_so(home: Any) -> None:
    done = home.daft("jobs", "--repo", "api", cwd=home.root)

    assert done.returncode == 1
    assert "the catalog of repositories is empty" in done.stderr


def test_without_the_catalog_ids_and_paths_still_mean_something(home: Any, recorded: Path) -> None:
    (home.root / "data" / "catalog" / "catalog.db").write_bytes(b"nonsense" * 1000)
    identity = (recorded / ".git" / "daft-id").read_text()

    for word in (identity, str(recorded)):
        done = home.daft("jobs", "--repo", word, *LINES, cwd=home.root)
        assert done.stdout == "x/build\n"
        assert "warning: the catalog" in done.stderr


def test_only_a_directory_that_is_called_by_an_identity_is_a_repository(home: Any) -> None:
    for name in ("not-an-id", "0" * 36, "00000000-0000-7000-8000-00000000000X"):
        (home.root / "state" / "jobs" / name).mkdir(parents=True)

    done = home.daft("jobs", "--repo", "0000", cwd=home.root)

    assert done.returncode == 1
    assert "is no repository that is known" in done.stderr
    assert "known:" not in done.stderr


def test_a_name_that_starts_two_identities_is_refused(home: Any, recorded: Path) -> None:
    other = home.repository(name="web")
    home.daft("list", cwd=other)
    identity = (recorded / ".git" / "daft-id").read_text()

    done = home.daft("jobs", "--repo", identity[:4], cwd=home.root)

    assert done.returncode == 1
    assert "more than one repository" in done.stderr
    assert json.dumps(identity)[1:-1] in done.stderr


def test_env_of_another_repository_is_found_by_its_name(home: Any) -> None:
    here = home.repository()
    place = home.root / "deep" / "er"
    place.mkdir(parents=True)
    other = home.repository("env: {salt: s, ports: [WEB]}\n", trust=False, name="deep/er/api")
    home.daft("repo", "add", "--name", "back", cwd=other)

    found = home.daft("env", "back:WEB", cwd=here)
    shutil.rmtree(other)
    gone = home.daft("env", "WEB", "--repo", "back", cwd=here)
    unknown = home.daft("env", "WEB", "--repo", "bac", cwd=here)

    assert found.returncode == 0, found.stderr
    assert int(found.stdout) > 0
    assert gone.returncode == 1
    assert "'back' is not at" in gone.stderr
    assert "did you mean back?" in unknown.stderr


def test_a_repository_that_is_gone_is_cloned_again_by_its_name(home: Any) -> None:
    source = home.repository(name="source")
    home.daft("clone", f"file://{source}", "first", "--layout", "sibling", cwd=home.root)
    home.daft("repo", "add", "--name", "api", cwd=home.root / "first")
    shutil.rmtree(home.root / "first")

    done = home.daft("clone", "api", "--layout", "sibling", cwd=home.root / "data")

    assert done.returncode == 0, done.stderr
    assert f"cloning 'api' from file://{source}" in done.stderr
    assert (home.root / "data" / "source" / ".git").is_dir()


# --- `daft repo` --------------------------------------------------------------------------------


@pytest.fixture
def two(home: Any) -> tuple[Path, Path]:
    """Two repositories of the catalog, `api` and `web`."""
    api, web = home.repository(name="api"), home.repository(name="web")
    for project in (api, web):
        assert home.daft("repo", "add", cwd=project).returncode == 0
    return api, web


def test_the_list_shows_who_is_in_it(home: Any, two: tuple[Path, Path]) -> None:
    _, web = two
    home.daft("start", "x", cwd=web)

    shown = home.daft("repo", cwd=web).stdout
    listed = json.loads(home.daft("repo", "list", "--format", "json", cwd=home.root).stdout)
    trees = home.daft("repo", "list", "-w", cwd=home.root).stdout

    assert shown.splitlines() == [f"  api  1  {Path('..') / 'api'}", "> web  2  ."]
    assert [(row["name"], row["status"], row["worktrees"]) for row in listed] == [
        ("api", "live", 1), ("web", "live", 2),
    ]  # fmt: skip
    assert [line.split()[0] for line in trees.splitlines()] == ["api", "main", "web", "main", "x"]


def test_the_list_of_nobody_is_a_valid_document(home: Any) -> None:
    assert home.daft("repo", "list", "--format", "json", cwd=home.root).stdout == "[]\n"
    people = home.daft("repo", "list", cwd=home.root)
    assert (people.returncode, people.stdout) == (0, "")
    assert "no repositories yet" in people.stderr


def test_one_that_is_gone_is_shown_as_missing_and_removed_ones_on_request(
    home: Any, two: tuple[Path, Path]
) -> None:
    api, web = two
    shutil.rmtree(api)
    home.daft("repo", "remove", cwd=web)
    columns = ("--format", "csv", "--no-headers", "--columns", "name,status,worktrees")

    live = home.daft("repo", "list", *columns, cwd=home.root)
    every = home.daft("repo", "list", "--all", *columns, cwd=home.root)

    assert live.stdout.split() == ["api,missing,"]
    assert every.stdout.split() == ["api,missing,", "web,removed,1"]


@pytest.mark.parametrize("word", ["api", "{root}/api", "./api", "{id}", None])
def test_information_is_found_by_any_word(
    home: Any, two: tuple[Path, Path], word: str | None
) -> None:
    api, _ = two
    identity = (api / ".git" / "daft-id").read_text()
    words = [] if word is None else [word.format(root=home.root, id=identity)]

    done = home.daft("repo", "info", *words, "--format", "json", cwd=home.root if words else api)

    found = json.loads(done.stdout)
    assert found["uuid"] == identity
    assert found["worktrees"] == [{"branch": "main", "path": str(api)}]
    assert found["default_branch"] == "main"


def test_information_for_people_has_a_tree(home: Any, two: tuple[Path, Path]) -> None:
    api, _ = two
    home.daft("start", "x", cwd=api)

    shown = home.daft("repo", "info", "api", cwd=home.root).stdout

    assert "Name            api\n" in shown
    assert "Worktrees       2\n  ├ main  api\n  └ x     api.x\n" in shown


def test_removing_changes_nothing_on_disk_and_working_brings_it_back(
    home: Any, two: tuple[Path, Path]
) -> None:
    api, _ = two
    before = sorted(api.rglob("*"))

    first = home.daft("repo", "remove", "api", cwd=home.root)
    second = home.daft("repo", "remove", "api", cwd=home.root)

    assert first.returncode == second.returncode == 0
    assert "is out of the catalog" in first.stdout
    assert "was out of the catalog already" in second.stdout
    assert sorted(api.rglob("*")) == before
    assert rows(home)["api"]["removed_at"] is not None
    home.daft("list", cwd=api)
    assert rows(home)["api"]["removed_at"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["info", "apu"], "did you mean api?"),
        (["remove", "nothing"], "is no repository in the catalog"),
        (["add", "/"], "Not inside a Git repository"),
        (["add", "nowhere"], "nowhere is not a directory"),
        (["add", "web", "--name", "api"], "choose another name"),
        (["add", "web", "--name", "a..b"], "cannot name a repository"),
        (["add", "web", "--name", ""], "cannot name a repository"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_is_said_in_one_line(
    home: Any, two: tuple[Path, Path], words: list[str], said: str
) -> None:
    before = rows(home)

    done = home.daft("repo", *words, cwd=home.root)

    assert done.returncode == 1
    assert said in done.stderr
    assert rows(home) == before


@pytest.mark.parametrize(
    "words",
    [["lst"], ["list", "--columns", "nope"], ["list", "-w", "--format", "json"]],
    ids=" ".join,
)
def test_bad_words_are_a_matter_of_usage(home: Any, words: list[str]) -> None:
    assert home.daft("repo", *words, cwd=home.root).returncode == 2


def test_a_copy_is_told_how_to_be_one_of_its_own(home: Any, two: tuple[Path, Path]) -> None:
    api, _ = two
    copy = shutil.copytree(api, home.root / "copy")

    refused = home.daft("repo", "add", cwd=copy)
    (Path(copy) / ".git" / "daft-id").unlink()
    taken = home.daft("repo", "add", cwd=copy)

    assert refused.returncode == 1
    assert "this is a copy of 'api'" in refused.stderr
    assert f"rm {copy}/.git/daft-id" in refused.stderr
    assert taken.stdout == "Added 'copy': .\n"


def test_a_repository_is_given_another_name(home: Any, two: tuple[Path, Path]) -> None:
    api, _ = two

    done = home.daft("repo", "add", "--name", "back", cwd=api)

    assert done.stdout == "'api' is called 'back' now\n"
    assert set(rows(home)) == {"back", "web"}
    assert "already" in home.daft("repo", "add", cwd=api).stdout


def test_tab_offers_names_and_for_a_path_directories(home: Any, two: tuple[Path, Path]) -> None:
    home.daft("repo", "remove", "api", cwd=home.root)

    def offered(word: str) -> list[str]:
        done = home.daft("__complete", "repositories", word, cwd=home.root)
        assert (done.returncode, done.stderr) == (0, "")
        return [line.split("\t")[0] for line in done.stdout.splitlines()]

    assert offered("") == ["web", "api"]
    assert offered("a") == ["api"]
    assert offered("./a") == ["./api"]
    assert offered(f"{home.root}/w") == [f"{home.root}/web"]
    assert offered("./nowhere/") == []


# --- `daft go` ----------------------------------------------------------------------------------


def arrived(home: Any, *words: str, cwd: Path) -> str:
    """Go somewhere; return where the shell is led, empty for nowhere."""
    target = home.root / "cd"
    target.write_text("")
    done = home.daft("go", *words, cwd=cwd, DAFT_CD_FILE=str(target))
    assert (done.returncode == 0) == bool(target.read_text()), done.stderr
    return str(target.read_text())


def test_a_name_that_means_nothing_here_leads_to_the_repository_of_that_name(
    home: Any, two: tuple[Path, Path]
) -> None:
    api, web = two

    assert arrived(home, "web", cwd=api) == str(web)
    assert arrived(home, "api", cwd=home.root) == str(api)


def test_what_a_name_means_here_comes_first(home: Any, two: tuple[Path, Path]) -> None:
    api, _ = two
    home.git("branch", "web", cwd=api)

    assert arrived(home, "web", cwd=api) == str(home.root / "api.web")


def test_in_another_repository_one_arrives_at_its_default_branch(
    home: Any, two: tuple[Path, Path]
) -> None:
    api, web = two
    home.git("checkout", "-qb", "side", cwd=web)
    home.git("worktree", "add", "-q", "../home-of-main", "main", cwd=web)

    assert arrived(home, "web", cwd=api) == str(home.root / "home-of-main")


@pytest.mark.parametrize("words", [["apo"], ["api"], ["--start", "api"]], ids=" ".join)
def test_nowhere_is_gone_to_what_is_not_there_or_not_meant(
    home: Any, two: tuple[Path, Path], words: list[str]
) -> None:
    home.daft("repo", "remove", "api", cwd=home.root)

    assert arrived(home, *words, cwd=home.root) == ""


def test_a_branch_that_is_to_be_made_by_itself_gives_way_to_a_repository(
    home: Any, two: tuple[Path, Path]
) -> None:
    api, web = two
    home.git("config", "daft.go.autoStart", "true", cwd=api)

    assert arrived(home, "web", cwd=api) == str(web)
    assert arrived(home, "--start", "web", cwd=api) == str(home.root / "api.web")
    assert arrived(home, "new", cwd=api) == str(home.root / "api.new")
