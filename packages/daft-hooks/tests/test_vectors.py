"""Results that are a contract: whoever computes the same elsewhere gets the same."""

from __future__ import annotations

from typing import Any

import pytest

from daft_hooks import Event, Loaded, Options, load_from, parse_selectors, plan
from daft_hooks.domain.changes import Listing
from daft_hooks.domain.conditions import EVENTS_OWN, Facts, is_truthy
from daft_hooks.domain.config import EnvConfig
from daft_hooks.domain.deriving import first_of_block, mixed_hash, undeclared_port
from daft_hooks.domain.globs import BadGlob, path_glob
from daft_hooks.domain.planning import Plan
from daft_hooks.domain.quantities import seconds, size_bytes
from daft_hooks.domain.slug import worktree_slug
from daft_protocol.jobs import RunMode

EVENT = Event(
    hook="worktree-post-create",
    command="checkout",
    project_root="/p",
    git_dir="/p/.git",
    remote="origin",
    source_worktree="/p",
    worktree_path="/p.x",
    branch="x",
    cwd="/p.x",
    label="x",
)


def loaded(text: str) -> Loaded:
    found = load_from({"daft.yml": text.encode()}.get)
    assert found is not None
    return found


def planned(jobs: str, *, extra: str = "", **options: Any) -> Plan:
    text = f"hooks: {{worktree-post-create: {{{extra}jobs: [{jobs}]}}}}\n"
    configuration = loaded(text).configuration
    hook = configuration.hooks["worktree-post-create"]
    return plan(EVENT, configuration, hook, Facts(), Options(**options))


def env(text: str) -> EnvConfig:
    found = loaded(f"env: {{{text}}}\n")
    assert [str(one) for one in found.decoded.problems if one.is_error] == []
    assert found.decoded.configuration.env is not None
    return found.decoded.configuration.env


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/p/feature/new", "feature-new"),
        ("/p", "p"),
        ("/e/My-WT", "my-wt"),
        ("/p/API_Server 2", "api-server-2"),
        ("/p/---", "worktree"),
        ("/", "worktree"),
        ("/p/日本語", "worktree"),
        ("/p/" + "a" * 100, "a" * 63),
        ("/p/" + "a" * 62 + "-tail", "a" * 62),
    ],
)
def test_the_slug_of_a_worktree(path: str, slug: str) -> None:
    assert worktree_slug(path, "/p") == slug


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ("1,myapp,feature-new", 0xE93DB1A807255C0C),
        ("1,myapp,master", 0xFBF1E95C6A4B8F89),
        ("1,myapp,main", 0x79610600DC56383E),
    ],
)
def test_the_hash(fields: str, result: int) -> None:
    assert mixed_hash(*fields.split(",")) == result


@pytest.mark.parametrize(
    ("slug", "port"), [("main", 20960), ("feature-new", 23952), ("feat-x", 25520)]
)
def test_the_block_of_a_worktree(slug: str, port: int) -> None:
    assert first_of_block(env("salt: myapp"), project="other", slug=slug) == port


def test_an_undeclared_port() -> None:
    found = undeclared_port(env("salt: myapp"), project="other", slug="main", name="TYPO_PORT")

    assert found == 29271


def test_the_offsets_of_ports() -> None:
    assert env("ports: [A, B, C: 8, D]").offsets == {"A": 0, "B": 1, "C": 8, "D": 9}


def test_a_range_may_have_blanks() -> None:
    found = env("range: ' 3000 - 4000 '")

    assert (found.first_port, found.last_port) == (3000, 4000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5000-5000", "too small"),
        ("4000-3000", "no range"),
        ("0-100", "no range"),
        ("20000", "no range"),
        ("a-b", "no range"),
        ("1-70000", "no range"),
    ],
)
def test_a_range_that_is_refused(text: str, said: str) -> None:
    problems = [str(one) for one in loaded(f"env: {{range: '{text}'}}\n").decoded.problems]

    assert [said in one for one in problems] == [True], problems


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.rs", "lib.rs", True),
        ("*.rs", "src/lib.rs", False),
        ("**/*.rs", "lib.rs", True),
        ("**/*.rs", "src/lib.rs", True),
        ("src/**/*.rs", "src/lib.rs", True),
        ("docs/**", "docs", False),
        ("docs/**", "docs/a/b", True),
        ("Cargo.{toml,lock}", "Cargo.toml", True),
        ("Cargo.{toml,lock}", "Cargo.lock", True),
        ("*.RS", "lib.rs", False),
        ("src/**", "./src/x", True),
    ],
)
def test_a_pattern_of_files(pattern: str, path: str, fits: bool) -> None:
    assert path_glob(pattern).matches(path) is fits


def test_a_class_that_is_never_closed() -> None:
    with pytest.raises(BadGlob):
        path_glob("src/[unclosed")


def test_excluding_alone_keeps_all_others() -> None:
    text = "hooks: {pre-merge: {jobs: [{name: a, run: 'x {changed_files}', exclude: docs/**}]}}\n"
    configuration = loaded(text).configuration
    facts = Facts(listings={EVENTS_OWN: Listing(files=("docs/b", "src/a"))})

    made = plan(EVENT, configuration, configuration.hooks["pre-merge"], facts, Options())

    assert [spec.command for spec in made.foreground] == ["x src/a"]


@pytest.mark.parametrize("value", ["1", "no", " "])
def test_a_variable_that_is_set(value: str) -> None:
    assert is_truthy(value)


@pytest.mark.parametrize("value", [None, "", "0", "False", "FALSE"])
def test_a_variable_that_counts_as_not_set(value: str | None) -> None:
    assert not is_truthy(value)


def test_selectors() -> None:
    found = parse_selectors(["tag:x", "job:all", " worktree-post-create , post-create "])

    assert found.tags == {"x"}
    assert found.jobs == {"all", "post-create"}
    assert found.hooks == {"worktree-post-create"}
    assert not found.everything
    assert parse_selectors(["all"]).everything
    assert parse_selectors(["*"]).everything


FOUR = (
    "{name: install, run: i}, {name: build, run: b, needs: [install], tags: [heavy]},"
    "{name: test, run: t, needs: [build]}, {name: lint, run: l, needs: [install]}"
)
DIAMOND = (
    "{name: last, run: x, needs: [right, left]}, {name: left, run: x, needs: [top]},"
    "{name: right, run: x, needs: [top]}, {name: top, run: x}"
)


@pytest.mark.parametrize(
    ("jobs", "selector", "reasons"),
    [
        (FOUR, "tag:heavy", {"build": "requested (--skip-hooks)", "test": "depends on build (skipped)"}),
        (FOUR, "install", {"install": "requested (--skip-hooks)", "build": "depends on install (skipped)",
                           "test": "depends on build (skipped)", "lint": "depends on install (skipped)"}),
        (DIAMOND, "top", {"top": "requested (--skip-hooks)", "left": "depends on top (skipped)",
                          "right": "depends on top (skipped)", "last": "depends on left (skipped)"}),
    ],
)  # fmt: skip
def test_what_is_left_out_takes_along(jobs: str, selector: str, reasons: dict[str, str]) -> None:
    made = planned(jobs, selectors=parse_selectors([selector]))

    assert {spec.name: spec.skip.reason for spec in made.skipped if spec.skip} == reasons


@pytest.mark.parametrize(
    ("text", "found"), [("1KB", 1024), ("10mb", 10 * 1024**2), ("2GB", 2 * 1024**3)]
)
def test_a_size(text: str, found: int) -> None:
    assert size_bytes(text) == found


@pytest.mark.parametrize("text", ["abc", "10XB", ""])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="a size is"):
        size_bytes(text)


@pytest.mark.parametrize(
    ("text", "found"), [("30s", 30), ("5m", 300), ("24h", 86400), ("7d", 604800)]
)
def test_a_duration(text: str, found: float) -> None:
    assert seconds(text) == found


@pytest.mark.parametrize("text", ["60", "5y", "-5m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="a duration is"):
        seconds(text)


@pytest.mark.parametrize(
    ("extra", "mode"),
    [
        ("piped: true, parallel: true, ", RunMode.PIPED),
        ("follow: true, ", RunMode.ORDERED),
        ("parallel: false, ", RunMode.ORDERED),
        ("", RunMode.PARALLEL),
    ],
)
def test_the_mode_of_a_hook(extra: str, mode: RunMode) -> None:
    assert planned("{name: a, run: x}", extra=extra).mode is mode


def test_the_parts_of_a_hook() -> None:
    made = planned(
        "{name: install, run: i}, {name: build, run: b, needs: [install], background: true},"
        "{name: assets, run: a, needs: [install], background: true},"
        "{name: types, run: t, needs: [build]}"
    )

    assert [spec.name for spec in made.foreground] == ["install", "build", "types"]
    assert [(spec.name, spec.needs) for spec in made.background] == [("assets", ())]
