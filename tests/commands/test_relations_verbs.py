"""`daft repo link|unlink`, and what `daft repo info` says of repositories that belong together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

START = "# ours\nrc: .daft/rc # why\n"
WEB = "https://example.org/acme/web.git"


@pytest.fixture
def api(home: Any) -> Path:
    """A repository with a configuration, beside others of the catalog: `web`, and `lone`."""
    for name, url in (("web", "https://tok:sesame@example.org/acme/web.git"), ("lone", None)):
        other = home.repository(name=name)
        if url is not None:
            home.git("remote", "add", "origin", url, cwd=other)
        assert home.daft("list", cwd=other).returncode == 0
    project = home.repository(START, name="api", trust=False)
    home.git("remote", "add", "origin", "git@example.org:acme/api.git", cwd=project)
    return Path(project)


def relations(home: Any, project: Path) -> list[dict[str, Any]]:
    done = home.daft("repo", "info", "--format", "json", cwd=project)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["relations"]
    return found


@pytest.mark.parametrize("word", ["web", "../web", "{root}/web", WEB, "git@example.org:acme/web"])
def test_a_relation_is_declared_by_any_word_for_it_and_kept_as_a_url(
    home: Any, api: Path, word: str
) -> None:
    done = home.daft("repo", "link", word.format(root=home.root), cwd=api)

    assert done.returncode == 0, done.stderr
    text = (api / "daft.yml").read_text()
    assert text.startswith(START + "relations:\n  - ")
    assert "sesame" not in text
    [one] = relations(home, api)
    assert (one["name"], one["repository"], one["path"]) == ("web", "web", str(home.root / "web"))


def test_declaring_it_again_changes_what_is_said_and_nothing_else(home: Any, api: Path) -> None:
    home.daft("repo", "link", "web", cwd=api)
    before = (api / "daft.yml").read_text()

    same = home.daft("repo", "link", "git@example.org:acme/web.git", cwd=api)
    unchanged = (api / "daft.yml").read_text()
    named = home.daft("repo", "link", "web", "--name", "front", "--kind", "service", cwd=api)
    kept = home.daft("repo", "link", "web", "--kind", "client", cwd=api)

    assert "belongs to this repository already" in same.stdout
    assert unchanged == before
    assert named.returncode == kept.returncode == 0
    [one] = relations(home, api)
    assert (one["name"], one["kind"], one["url"]) == ("front", "client", WEB)
    shown = home.daft("repo", "info", cwd=api).stdout
    assert "Relations\n  front [client]  ../web\n" in shown


def test_one_that_is_not_cloned_is_told_as_such(home: Any, api: Path) -> None:
    home.daft("repo", "link", "https://example.org/acme/lib.git", cwd=api)

    assert relations(home, api)[0]["repository"] is None
    shown = home.daft("repo", "info", cwd=api).stdout
    assert "lib  not here: https://example.org/acme/lib.git" in shown


@pytest.mark.parametrize("word", ["web", "front", "../web", "git@example.org:acme/web.git"])
def test_a_relation_is_taken_out_by_its_name_or_any_word_for_it(
    home: Any, api: Path, word: str
) -> None:
    home.daft("repo", "link", "web", "--name", "front", cwd=api)

    done = home.daft("repo", "unlink", word, cwd=api)

    assert done.stdout == f"{WEB} taken out of daft.yml\n"
    assert (api / "daft.yml").read_text() == START + "relations: []\n"


@pytest.mark.parametrize("word", ["web", "nothing", "https://example.org/x"])
def test_taking_out_what_is_not_there_is_nothing_to_do(home: Any, api: Path, word: str) -> None:
    home.daft("repo", "link", "https://example.org/acme/lib.git", cwd=api)
    before = (api / "daft.yml").read_text()

    done = home.daft("repo", "unlink", word, cwd=api)

    assert done.returncode == 0
    assert "nothing changed" in done.stdout
    assert (api / "daft.yml").read_text() == before


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("git@example.org:acme/api", "is this repository itself"),
        ("lone", "has no remote"),
        ("../lone", "has no remote"),
        ("nothing", "no repository in the catalog"),
        ("../nothing", "no repository in the catalog"),
    ],
)
def test_what_nobody_could_find_is_no_relation(home: Any, api: Path, word: str, said: str) -> None:
    done = home.daft("repo", "link", word, cwd=api)

    assert done.returncode == 1
    assert said in done.stderr
    assert (api / "daft.yml").read_text() == START


def test_a_file_that_cannot_be_read_is_left_alone(home: Any, api: Path) -> None:
    (api / "daft.yml").write_text("relations: {a: b}\n")

    done = home.daft("repo", "link", "web", cwd=api)
    info = home.daft("repo", "info", cwd=api)

    assert done.returncode == 1
    assert (api / "daft.yml").read_text() == "relations: {a: b}\n"
    assert info.returncode == 0
    assert "its relations are not known" in info.stderr


def test_without_a_file_one_is_made(home: Any, api: Path) -> None:
    (api / "daft.yml").unlink()

    assert home.daft("repo", "link", "web", cwd=api).returncode == 0
    assert relations(home, api)[0]["repository"] == "web"


def test_consent_outlives_a_new_relation(home: Any) -> None:
    project = home.repository("hooks: {worktree-post-create: {jobs: [{name: a, run: 'true'}]}}\n")
    home.daft("repo", "link", "https://example.org/acme/lib.git", cwd=project)
    home.git("commit", "-qam", "relation", cwd=project)

    done = home.daft("start", "x", cwd=project)

    assert done.returncode == 0
    assert "Untrusted" not in done.stderr


def test_a_branch_is_started_in_all_that_belongs_together(home: Any, api: Path) -> None:
    web = home.root / "web"
    home.git("checkout", "-qb", "busy", cwd=web)
    home.git("commit", "-qm", "unrelated", "--allow-empty", cwd=web)
    home.daft("list", cwd=web)
    main = home.git("rev-parse", "main", cwd=web)
    home.daft("repo", "link", "web", cwd=api)
    home.daft("repo", "link", "https://example.org/acme/lib.git", cwd=api)

    done = home.daft("start", "x", "--with-related", "-x", "pwd", cwd=api)

    assert done.returncode == 0, done.stderr
    assert "'lib' is not here; to have it: daft clone https://example.org/acme/lib.git" in (
        done.stderr
    )
    assert "in 'web'" in done.stderr
    assert home.git("rev-parse", "x", cwd=home.root / "web.x") == main
    assert done.stdout.split()[-1] == str(home.root / "api.x")
    assert not (home.root / "lone.x").exists()


def test_where_the_branch_exists_it_is_gone_to(home: Any, api: Path) -> None:
    home.git("branch", "x", cwd=home.root / "web")
    home.daft("repo", "link", "web", cwd=api)

    done = home.daft("start", "x", "--with-related", cwd=api)

    assert done.returncode == 0, done.stderr
    assert (home.root / "web.x").is_dir()


def test_one_that_cannot_be_started_is_told_and_the_others_are(home: Any, api: Path) -> None:
    home.git("branch", "x/y", cwd=home.root / "web")
    home.daft("repo", "link", "web", cwd=api)

    done = home.daft("start", "x", "--with-related", cwd=api)

    assert done.returncode == 1
    assert "conflicts with existing branch 'x/y'" in done.stderr
    assert (home.root / "api.x").is_dir()
