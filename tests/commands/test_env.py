"""`daft env`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CONFIGURATION = (
    "env: {salt: myapp, write: .env, ports: [WEB_PORT, {API_PORT: 8}],"
    " values: {URL: 'http://localhost:{env:WEB_PORT}/{branch}', ODD: 'a \"b\" $c'}}\n"
)


@pytest.fixture
def tree(home: Any) -> Path:
    project = home.repository(CONFIGURATION)
    (project / ".gitignore").write_text(".env\n")
    home.daft("start", "main-x", cwd=project)
    made: Path = home.root / "project.main-x"
    return made


def test_what_is_shown_is_what_jobs_get(home: Any, tree: Path) -> None:
    (tree / "daft.yml").write_text(CONFIGURATION + 'tasks: {run: {jobs: [{run: "echo $WEB_PORT $API_PORT $URL"}]}}\n')  # fmt: skip
    values = {
        row["name"]: row["value"]
        for row in json.loads(home.daft("env", "--format", "json", cwd=tree).stdout)
    }

    ran = home.daft("run", cwd=tree).stdout.split()

    assert ran == [values["WEB_PORT"], values["API_PORT"], values["URL"]]
    assert int(values["API_PORT"]) == int(values["WEB_PORT"]) + 8
    assert home.daft("env", "WEB_PORT", cwd=tree).stdout == f"{values['WEB_PORT']}\n"


def test_all_of_them_are_listed(home: Any, tree: Path) -> None:
    shown = home.daft("env", cwd=tree).stdout

    assert "(port +8)" in shown
    assert "(value)" in shown
    assert "for project-main-x" in shown
    assert f"DAFT_WORKTREE_PATH {tree}" in " ".join(shown.split())


def test_a_shell_can_read_them(home: Any, tree: Path) -> None:
    exported = home.daft("env", "--export", cwd=tree).stdout

    done = home.run("sh", "-c", f'{exported}\nprintf %s "$ODD"', cwd=tree)

    assert done.stdout == 'a "b" $c'


def test_they_are_written_where_the_file_says(home: Any, tree: Path) -> None:
    home.daft("env", "--write", cwd=tree)
    printed = home.daft("env", "--write", "--to", "-", cwd=tree).stdout

    assert (tree / ".env").read_text() == printed
    assert 'ODD="a \\"b\\" \\$c"' in printed


def test_another_worktree_can_be_asked_about(home: Any, tree: Path) -> None:
    there = home.daft("env", "WEB_PORT@main", cwd=tree).stdout
    same = home.daft("env", "WEB_PORT", "--worktree", "main", cwd=tree).stdout

    assert there == same != home.daft("env", "WEB_PORT", cwd=tree).stdout
    assert home.daft("env", "DAFT_BRANCH_NAME@main", cwd=tree).stdout == "main\n"


def test_a_name_nobody_declared_gets_a_port_when_asked_for(home: Any, tree: Path) -> None:
    ad_hoc = home.daft("env", "--ad-hoc", "OTHER_PORT", cwd=tree)
    plain = home.daft("env", "OTHER_PORT", cwd=home.repository("", name="plain"))

    assert 26384 <= int(ad_hoc.stdout) <= 32767
    assert 26384 <= int(plain.stdout) <= 32767


def test_a_worktree_that_is_not_there_yet_can_be_asked_about(home: Any, tree: Path) -> None:
    before = home.daft("env", "WEB_PORT@later", cwd=tree)
    unwritten = home.daft("env", "--worktree", "later", "--write", cwd=tree)
    home.daft("start", "later", cwd=tree)
    after = home.daft("env", "WEB_PORT@later", cwd=tree)

    assert before.stdout == after.stdout != ""
    assert "there is no worktree 'later' yet" in before.stderr
    assert after.stderr == ""
    assert unwritten.returncode == 1
    assert "does not exist yet" in unwritten.stderr


def test_another_repository_can_be_asked_about(home: Any, tree: Path) -> None:
    other = home.repository(CONFIGURATION.replace("myapp", "theirs"), name="other")
    home.daft("start", "main-x", cwd=other)
    expected = home.daft("env", "WEB_PORT", cwd=home.root / "other.main-x").stdout

    same_branch = home.daft("env", "other:WEB_PORT", cwd=tree)
    by_path = home.daft("env", "WEB_PORT", "--repo", str(other), cwd=tree)
    named = home.daft("env", "other:WEB_PORT@main", cwd=tree)
    value = home.daft("env", "other:URL", cwd=tree)

    assert same_branch.stdout == by_path.stdout == expected
    assert named.stdout == home.daft("env", "WEB_PORT", cwd=other).stdout != expected
    assert value.stdout == f"http://localhost:{expected.strip()}/main-x\n"


def test_what_would_be_is_told_beside_what_is(home: Any, tree: Path) -> None:
    usual = home.daft("env", "WEB_PORT", cwd=tree).stdout.strip()

    salted = home.daft("env", "WEB_PORT", "--salt", "other", cwd=tree)
    same = home.daft("env", "WEB_PORT", "--salt", "myapp", cwd=tree)
    moved = home.daft("env", "WEB_PORT", "--offset", "3", cwd=tree)
    ranged = home.daft("env", "--range", "40000-41000", "--format", "json", cwd=tree)

    assert salted.stdout.strip() != usual
    assert f"configured is {usual}" in salted.stderr
    assert (same.stdout.strip(), same.stderr) == (usual, "")
    assert int(moved.stdout) == int(usual) + 3
    ports = {row["name"]: row["value"] for row in json.loads(ranged.stdout)}
    assert 40000 <= int(ports["WEB_PORT"]) <= 40500
    assert ports["URL"] == f"http://localhost:{ports['WEB_PORT']}/main-x"
    assert "what is configured differs" in ranged.stderr


def test_two_worktrees_with_the_same_ports_are_warned_of(home: Any, tree: Path) -> None:
    (tree / "daft.yml").write_text("env: {range: 20000-20003, block_size: 1, ports: [A]}\n")
    for name in ("b", "c"):  # two blocks for four worktrees
        home.daft("start", "--no-carry", name, cwd=tree)

    asked = home.daft("env", "A", cwd=tree)
    exported = home.daft("env", "--export", cwd=tree)

    unchecked = home.daft("env", "A", cwd=tree, DAFT_ENV_NO_COLLISION_CHECK="1")

    assert "has the same block of ports" in asked.stderr
    assert exported.stderr == ""
    assert (unchecked.stdout, unchecked.stderr) == (asked.stdout, "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["WEB_PROT"], 1, "is not declared; did you mean 'WEB_PORT'?"),
        (["DAFT_HOOK"], 1, "has no value at rest"),
        (["DAFT_BRANCH"], 1, "is not a variable daft sets; did you mean 'DAFT_BRANCH_NAME'?"),
        (["X@no..where"], 1, "'no..where'"),
        (["@main"], 2, "is no [REPOSITORY:]VARIABLE[@WORKTREE]"),
        ([":X"], 2, "names no repository"),
        (["a:b:X"], 2, "is no [REPOSITORY:]VARIABLE[@WORKTREE]"),
        (["other:X", "--repo", "other"], 2, "--repo names another"),
        (["WEB_PORT", "--range", "9-1"], 1, "--range: '9-1' is no range"),
        (["WEB_PORT", "--range", "2000-2001"], 1, "too small for two blocks"),
        (["--block-size", "4"], 1, "has no room for API_PORT"),
        (["WEB_PORT", "--offset", "16"], 1, "a block has only 16 ports"),
        (["--offset", "1"], 2, "--offset needs a VARIABLE"),
        (["DAFT_REMOTE", "--salt", "x"], 2, "nothing can be supposed of it"),
        (["--write", "--salt", "x"], 2, "not what is supposed"),
        (["X@"], 2, "names no worktree"),
        (["X@main", "--worktree", "main"], 2, "names another"),
        (["other:X"], 1, "no repository is known as 'other'"),
        (["--export", "--format", "json"], 2, "exclude each other"),
        (["--export", "WEB_PORT"], 2, "leave WEB_PORT away"),
        (["--to", "x"], 2, "--to needs --write"),
        (["--write", "--to", "../x"], 1, "no path inside of the worktree"),
        (["--write", "--to", "no/where"], 1, "its directory does not exist"),
        (["--write", "--to", "daft.yml"], 1, "is tracked by git"),
    ],
)
def test_wrong_words_are_told(
    home: Any, tree: Path, words: list[str], code: int, said: str
) -> None:
    done = home.daft("env", *words, cwd=tree)

    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""
