from __future__ import annotations

from pathlib import Path

import pytest

from daft_worktree.errors import BadLayout
from daft_worktree.layouts import BUILT_IN, DEFAULT, detect, named, path_for, resolve

ROOT = "/home/me/code/project"


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        ("sibling", "/home/me/code/project.feature-x"),
        ("contained", "/home/me/code/project/feature/x"),
        ("contained-flat", "/home/me/code/project/feature-x"),
        ("nested", "/home/me/code/project/.worktrees/feature-x"),
        ("centralized", "/data/worktrees/project/feature-x"),
    ],
)
def test_each_layout_has_its_place(layout: str, path: str) -> None:
    assert path_for(BUILT_IN[layout], "feature/x", root=ROOT, data_dir="/data") == path


@pytest.mark.parametrize(
    ("template", "path", "is_bare"),
    [
        ("{{ repo_path }}/{{branch}}", "/home/me/code/project/a/b", True),
        ("{{ repo_path }}/{{ branch | repo }}", "/home/me/code/project/a/b", False),
        ("/trees/{{ repo }}/{{ branch | sanitize }}", "/trees/project/a-b", False),
        ("../{{ repo }}-{{ branch | sanitize }}", "/home/me/project-a-b", False),
        ("{{ repo }}/./x/../{{ branch | sanitize | sanitize }}", f"{ROOT}/a-b", False),
    ],
)
def test_a_template_may_be_written_by_hand(template: str, path: str, is_bare: bool) -> None:
    layout = named(template)

    assert path_for(layout, "a/b", root=ROOT, data_dir="/data") == path
    assert layout.is_bare == is_bare


def test_a_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    path = path_for(named("~/trees/{{ branch }}"), "x", root=ROOT, data_dir="/data")

    assert path == "/home/me/trees/x"


def test_the_ending_of_a_bare_repository_is_no_part_of_its_name() -> None:
    path = path_for(DEFAULT, "x", root="/srv/project.git", data_dir="/data")

    assert path == "/srv/project.x"


def test_braces_in_a_branch_are_not_a_template() -> None:
    path = path_for(DEFAULT, "{{repo}}", root=ROOT, data_dir="/data")

    assert path == "/home/me/code/project.{{repo}}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("sibbling", "unknown layout 'sibbling'; known: sibling"),
        ("{{ repo }}", "must contain the branch"),
        ("{{ branch ", "is not closed"),
        ("{{ branch }}{{ nonsense }}", "unknown variable 'nonsense'"),
        ("{{ branch | upper }}", "unknown filter 'upper'"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(value: str, words: str) -> None:
    with pytest.raises(BadLayout, match=words):
        path_for(named(value), "x", root=ROOT, data_dir="/data")


def test_the_first_source_that_speaks_decides() -> None:
    known = {
        "explicit": "nested",
        "stored": "contained",
        "configured": "centralized",
        "default": "sibling",
    }
    sources = ["--layout", "stored", "daft.yml", "user configuration"]

    for source, name in zip(sources, list(known), strict=True):
        layout, said = resolve(**known)  # type: ignore[arg-type]
        assert (layout.name, said) == (known.pop(name), source)
    assert resolve(detected=BUILT_IN["nested"]) == (BUILT_IN["nested"], "detected")
    assert resolve() == (DEFAULT, "default")


@pytest.mark.parametrize("layout", BUILT_IN.values(), ids=lambda one: one.name)
def test_a_layout_is_recognised_by_where_its_worktrees_are(layout: object) -> None:
    placed = {
        branch: path_for(layout, branch, root=ROOT, data_dir="/data")  # type: ignore[arg-type]
        for branch in ("a/b", "c")
    }

    assert detect(placed, root=ROOT, is_bare=layout.is_bare, data_dir="/data") == layout  # type: ignore[attr-defined]


def test_worktrees_in_two_arrangements_tell_nothing() -> None:
    placed = {"a": f"{ROOT}.a", "b": f"{ROOT}/.worktrees/b"}

    assert detect(placed, root=ROOT, is_bare=False, data_dir="/data") is None


def test_without_worktrees_the_repository_tells(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert detect({}, root=root, is_bare=False, data_dir="/data") is None
    assert detect({}, root=root, is_bare=True, data_dir="/data") == BUILT_IN["contained"]

    (tmp_path / ".worktrees").mkdir()

    assert detect({}, root=root, is_bare=False, data_dir="/data") == BUILT_IN["nested"]
