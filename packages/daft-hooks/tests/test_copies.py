"""What `copy:` may name, what is told of what it may not, and how files say it together."""

from __future__ import annotations

import pytest

from daft_hooks import load_from
from daft_hooks.domain.config import CopyConfig
from daft_hooks.errors import BadConfiguration, Severity


def read(text: str, **more: str) -> tuple[CopyConfig, list[str]]:
    """Return what a file asks for, and what is told of it whenever it is read."""
    files = {"daft.yml": text.encode()}
    files |= {
        name.replace("_", ".") + ".yml": more_text.encode() for name, more_text in more.items()
    }
    loaded = load_from(files.get)
    assert loaded is not None
    told = [str(one) for one in loaded.decoded.problems if one.is_told_when_read]
    return loaded.configuration.copy, told


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("{}", CopyConfig()),
        ("copy:", CopyConfig()),
        ("copy: node_modules", CopyConfig(paths=("node_modules",))),
        ("copy: [./a/, b//c/.]", CopyConfig(paths=("a", "b/c"))),
        ("copy: {paths: '**/target'}", CopyConfig(paths=("**/target",))),
        ("copy: {paths: [a], fallback: Skip}", CopyConfig(paths=("a",), copies_bytes=False)),
        ("copy: {paths: [a], max_size: 2KB}", CopyConfig(paths=("a",), max_size_bytes=2048)),
        ("copy: [..a, a..b, '...']", CopyConfig(paths=("..a", "a..b", "..."))),
    ],
)
def test_a_list_of_paths_or_a_map_is_taken(text: str, meant: CopyConfig) -> None:
    assert read(text) == (meant, [])


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc", "begins with a slash"),
        ("../other", "`..`"),
        ("a/../../b", "`..`"),
        (".", "is the whole worktree"),
        ("./", "is the whole worktree"),
        (".git/config", "belongs to git"),
        ("sub/.GIT", "belongs to git"),
        ("'a[b'", "is no pattern"),
    ],
)
def test_a_path_that_may_not_be_copied_is_told_and_left_out(path: str, reason: str) -> None:
    found, told = read(f"copy: [{path}, good]")

    assert found.paths == ("good",)
    assert len(told) == 1
    assert reason in told[0]
    assert told[0].startswith("daft.yml:1:8: copy:")


def test_a_path_that_is_named_twice_is_told_once() -> None:
    found, told = read("copy: [a, b, ./a]")

    assert found.paths == ("a", "b")
    assert [line for line in told if "named a second time" in line] == told != []


def test_a_map_without_paths_and_a_size_nobody_can_read_are_told() -> None:
    assert "names no `paths`" in read("copy: {fallback: copy}")[1][0]
    assert "the default counts instead" in read("copy: {paths: a, max_size: lots}")[1][0]


def test_an_unknown_fallback_makes_the_file_unusable() -> None:
    with pytest.raises(BadConfiguration, match="none of copy, skip"):
        read("copy: {paths: a, fallback: link}")


def test_a_file_laid_over_replaces_it_as_a_whole() -> None:
    assert read("copy: {paths: [a, b], fallback: skip}", daft_local="copy: [c]")[0] == CopyConfig(
        paths=("c",)
    )
    assert read("copy: [a]", daft_local="copy:")[0] == CopyConfig(paths=("a",))


def test_what_is_wrong_with_it_fails_the_check_of_the_file() -> None:
    loaded = load_from({"daft.yml": b"copy: [/etc]"}.get)

    assert loaded is not None
    assert [one.severity for one in loaded.decoded.problems] == [Severity.ERROR]
    assert all(one.is_error for one in loaded.decoded.problems)
