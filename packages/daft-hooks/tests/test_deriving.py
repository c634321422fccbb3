"""`env:`: ports and values that every worktree derives for itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_hooks import Event, Options, load_from, plan
from daft_hooks.decode import Decoded
from daft_hooks.domain.conditions import Facts
from daft_hooks.domain.config import EnvConfig
from daft_hooks.domain.deriving import (
    blocks,
    derive,
    first_of_block,
    mixed_hash,
    undeclared_port,
)


def decoded(env: str) -> Decoded:
    loaded = load_from({"daft.yml": f"env: {env}\n".encode()}.get)
    assert loaded is not None
    return loaded.decoded


def declared(env: str) -> EnvConfig:
    found = decoded(env)
    assert found.problems == ()
    assert found.configuration.env is not None
    return found.configuration.env


@pytest.mark.parametrize(
    ("slug", "digest"),
    [
        ("feature-new", "e93db1a807255c0c"),
        ("master", "fbf1e95c6a4b8f89"),
        ("main", "79610600dc56383e"),
    ],
)
def test_the_hash_never_changes(slug: str, digest: str) -> None:
    assert f"{mixed_hash('1', 'myapp', slug):016x}" == digest


@pytest.mark.parametrize(("slug", "port"), [("main", 20960), ("feature-new", 23952), ("feat-x", 25520)])  # fmt: skip
def test_ports_never_change(slug: str, port: int) -> None:
    assert first_of_block(EnvConfig(salt="myapp"), project="other", slug=slug) == port
    assert first_of_block(EnvConfig(), project="myapp", slug=slug) == port


def test_an_undeclared_port_never_changes() -> None:
    assert undeclared_port(EnvConfig(), project="myapp", slug="main", name="TYPO_PORT") == 29271


def test_offsets_count_like_the_values_of_an_enum() -> None:
    assert declared("{ports: [A, B, {C: 8}, D]}").offsets == {"A": 0, "B": 1, "C": 8, "D": 9}


def test_values_are_made_of_facts_and_ports() -> None:
    env = declared(
        "{salt: myapp, ports: [WEB], values: {URL: 'http://{worktree_slug}:{env:WEB}/{branch}{x', A: '{repo}'}}"
    )

    found = derive(env, project_root="/p/app", worktree_path="/p/app.main", slug="main", branch="b")

    assert found == {"WEB": "20960", "A": "app", "URL": "http://main:20960/b{x"}
    assert list(found) == ["WEB", "A", "URL"]


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ("{ports: [web]}", "is no name such as WEB_PORT"),
        ("{ports: [DAFT_X]}", "begin with DAFT_ are taken"),
        ("{ports: [A, A]}", "declared a second time"),
        ("{ports: [A], values: {A: x}}", "declared a second time"),
        ("{ports: [A, {B: 0}]}", "offset 0, which A has already"),
        ("{ports: [{A: 16}]}", "a block only 16 ports"),
        ("{ports: [{A: -1}]}", "must be 0 or more"),
        ("{ports: [[A]]}", "expected `NAME` or `NAME: offset`"),
        ("{range: 4000-3000}", "is no range of ports"),
        ("{range: 0-100}", "is no range of ports"),
        ("{range: '20000'}", "is no range of ports"),
        ("{range: a-b}", "is no range of ports"),
        ("{range: 1-70000}", "is no range of ports"),
        ("{range: 5000-5000}", "too small for two blocks"),
        ("{block_size: 5000}", "too small for two blocks"),
        ("{block_size: 0}", "must be 1 or more"),
        ("{scheme: 2}", "only 1 is known"),
        ("{values: {A: '{nothing}'}}", "unknown placeholder {nothing}"),
        ("{values: {A: '{env:B}'}, ports: [C]}", "{env:B} is no port declared here"),
        ("{values: {A: '{worktree_slog}'}}", "did you mean 'worktree_slug'"),
        ("{write: ../x}", "is no path inside of the worktree"),
        ("{write: /x}", "is no path inside of the worktree"),
        ("{prots: [A]}", "did you mean 'ports'"),
    ],
)
def test_a_broken_rule_is_told(env: str, said: str) -> None:
    assert said in "\n".join(str(one) for one in decoded(env).problems)


def test_ranges_may_hold_blanks() -> None:
    assert (declared("{range: ' 3000 - 4000 '}").first_port, blocks(EnvConfig())) == (3000, 399)


@given(
    first=st.integers(1, 60000),
    span=st.integers(63, 5000),
    size=st.integers(1, 16),
    slug=st.text(alphabet="abc-", min_size=1),
    name=st.text(alphabet="ABC_", min_size=1),
)
def test_every_port_is_in_its_half_of_the_range(
    first: int, span: int, size: int, slug: str, name: str
) -> None:
    env = EnvConfig(
        first_port=first, last_port=first + span, block_size=size, offsets={"A": size - 1}
    )
    middle = first + blocks(env) * size

    block = first_of_block(env, project="p", slug=slug)
    port = int(derive(env, project_root="/p", worktree_path="/p", slug=slug, branch="")["A"])
    other = undeclared_port(env, project="p", slug=slug, name=name)

    assert first <= block <= port < middle <= other <= first + span
    assert (block - first) % size == 0


def test_jobs_get_them_unless_somebody_set_them_or_the_job_says_otherwise() -> None:
    text = (
        "env: {salt: myapp, ports: [WEB, API], values: {URL: x, OTHER: y}}\n"
        "hooks: {worktree-post-create: {jobs: [{name: a, run: x, env: {OTHER: own}}]}}\n"
    )
    loaded = load_from({"daft.yml": text.encode()}.get)
    assert loaded is not None
    event = Event(
        hook="worktree-post-create", command="start", project_root="/p", git_dir="/p/.git",
        remote="origin", source_worktree="/p", worktree_path="/p/main", branch="main",
        cwd="/p/main", label="main",
    )  # fmt: skip

    made = plan(
        event,
        loaded.configuration,
        loaded.configuration.hooks["worktree-post-create"],
        Facts(environment={"API": ""}),
        Options(),
    )

    found = made.foreground[0].env
    assert (found["WEB"], found["URL"], found["OTHER"]) == ("20960", "x", "own")
    assert "API" not in found, "whoever set it knows better, even when it is empty"
