"""What worktrees have in common, as the configuration says it."""

from __future__ import annotations

import pytest

from daft_hooks import load_from
from daft_hooks.discovery import Loaded
from daft_hooks.domain import shape
from daft_hooks.errors import Severity

RUNS = "hooks: {post-clone: {jobs: [{name: a, run: x}]}}\n"


def read(text: str, **more: str) -> Loaded:
    files = {"daft.yml": text, **{name.replace("_", "."): body for name, body in more.items()}}
    loaded = load_from(lambda name: files[name].encode() if name in files else None)
    assert loaded is not None
    return loaded


def problems(loaded: Loaded) -> list[str]:
    return [one.message for one in loaded.decoded.problems if one.severity is Severity.ERROR]


def test_what_is_shared_is_a_path_inside_of_the_worktree() -> None:
    loaded = read("shared: [.env, ./config//local.json, .env, 'a b', 8080]\n")

    assert loaded.configuration.shared == (".env", "config/local.json", "a b", "8080")
    assert read("shared: .env\n").configuration.shared == (".env",)
    assert read("shared:\n").configuration.shared == ()


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../.env", "a/../../b", ".", "''", ".git/config", "sub/.GIT/x", '"a\\nb"'],
)
def test_what_no_worktree_can_share_is_told_and_left_out(path: str) -> None:
    loaded = read(f"shared: [.env, {path}]\n")

    (told,) = problems(loaded)
    assert "no path inside of the worktree" in told
    assert loaded.configuration.shared == (".env",)


def test_of_two_paths_in_one_another_the_second_is_told() -> None:
    loaded = read("shared: [a/b, a, ab]\n")

    (told,) = problems(loaded)
    assert "'a' and 'a/b' lie in one another" in told
    assert loaded.configuration.shared == ("a/b", "ab")


def test_what_each_worktree_writes_for_itself_cannot_be_shared() -> None:
    loaded = read("{env: {ports: [A], write: ./.env}, shared: [.env, .env.keys]}\n")

    (told,) = problems(loaded)
    assert "each worktree has its own" in told
    assert loaded.configuration.shared == (".env.keys",)


def test_an_overlay_replaces_what_is_shared() -> None:
    loaded = read("shared: [a, b]\n", daft_local_yml="shared: [c]\n")

    assert loaded.configuration.shared == ("c",)


UNCONSENTED = {
    "shared": "shared: [.env]\n",
    "copy": "copy: [x]\n",
    "merge": "merge: {ff: only}\n",
    "relations": "relations: [{url: x, name: y}]\n",
}


def test_consent_says_nothing_of_what_runs_nothing() -> None:
    digest = read(RUNS).digest

    assert {key: read(RUNS + text).digest for key, text in UNCONSENTED.items()} == dict.fromkeys(
        UNCONSENTED, digest
    )
    assert read(RUNS + "rc: x\n").digest != digest
    assert {one.name for one in shape.TOP if not one.consented} == set(UNCONSENTED)
