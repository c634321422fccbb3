"""The repositories that belong to one, as its configuration says it."""

from __future__ import annotations

import pytest

from daft_hooks import load_from
from daft_hooks.discovery import Loaded
from daft_hooks.domain.config import Relation
from daft_hooks.errors import BadConfiguration, Severity

RUNS = "hooks: {post-clone: {jobs: [{name: a, run: x}]}}\n"


def read(text: str) -> Loaded:
    loaded = load_from({"daft.yml": text.encode()}.get)
    assert loaded is not None
    return loaded


def test_a_relation_is_a_url_or_a_map() -> None:
    loaded = read("relations: [git@h:a/b.git, {url: https://h/c, name: cee, kind: library}]\n")

    assert loaded.configuration.relations == (
        Relation(url="git@h:a/b.git"),
        Relation(url="https://h/c", name="cee", kind="library"),
    )
    assert read("relations: x\n").configuration.relations == (Relation(url="x"),)
    assert read("relations:\n").configuration.relations == ()


@pytest.mark.parametrize("text", ["{name: x}", "''", '"a\\nb"', "--upload-pack=x", "{url: [x]}"])
def test_what_names_no_repository_is_left_out(text: str) -> None:
    decoded = read(f"relations: [good, {text}]\n").decoded

    assert any(one.severity in (Severity.ERROR, Severity.FATAL) for one in decoded.problems)
    assert decoded.configuration.relations == (Relation(url="good"),)


def test_a_map_of_relations_is_refused() -> None:
    with pytest.raises(BadConfiguration, match="a list of URLs"):
        _ = read("relations: {api: x}\n").configuration


def test_a_later_file_replaces_them() -> None:
    files = {"daft.yml": b"relations: [a]\n", "daft.local.yml": b"relations: [b]\n"}
    loaded = load_from(files.get)

    assert loaded is not None
    assert [one.url for one in loaded.configuration.relations] == ["b"]


def test_consent_says_nothing_of_relations() -> None:
    plain, related = read(RUNS), read(RUNS + "relations: [x]\n")

    assert related.seen_in("/w").digest == plain.seen_in("/w").digest
