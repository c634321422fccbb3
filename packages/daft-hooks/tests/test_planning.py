"""From an event to a plan, and whether it may be carried out: all pure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daft_hooks import Event, Options, Placement, Plan, load_from, parse_selectors, plan
from daft_hooks.domain.conditions import Facts, is_truthy
from daft_hooks.domain.event import environment_of, placeholder_values
from daft_hooks.domain.globs import ref_matches
from daft_hooks.domain.planning import hopeless
from daft_hooks.domain.selection import Narrowing, drop
from daft_hooks.domain.slug import worktree_slug
from daft_hooks.domain.templates import substitute
from daft_hooks.domain.urls import without_credentials
from daft_hooks.errors import BadSelection, UnplannableHook
from daft_hooks.settings import hook_settings
from daft_protocol.jobs import RunMode
from daft_protocol.status import SkipKind


def an_event(hook: str = "worktree-post-create", **other: Any) -> Event:
    given_facts = {
        "command": "checkout", "project_root": "/p", "git_dir": "/p/.git", "remote": "origin",
        "source_worktree": "/p", "worktree_path": "/p.x", "branch": "feat/x", "cwd": "/p.x", "label": "x",
        **other,
    }  # fmt: skip
    return Event(hook=hook, **given_facts)


def planned(jobs: str, *, hook: str = "worktree-post-create", extra: str = "", facts: Facts | None = None,
            top: str = "", **options: Any) -> Plan:  # fmt: skip
    text = f"{top}hooks: {{{hook}: {{{extra}jobs: [{jobs}]}}}}\n"
    loaded = load_from({"daft.yml": text.encode()}.get)
    assert loaded is not None
    configuration = loaded.decoded.configuration
    return plan(
        an_event(hook),
        configuration,
        configuration.hooks[hook],
        facts or Facts(),
        Options(**options),
    )


@pytest.mark.parametrize(("said", "nth"), [("0", 1), ("1", 1), ("null", 9), ("3", 3)])
def test_of_a_log_block_the_job_wins_and_sampling_can_be_switched_off(said: str, nth: int) -> None:
    made = planned(
        f"{{name: a, run: x, log: {{sampling_every_nth: {said}, retention: 2d}}}}, {{name: b, run: x}}",
        top="log: {sampling_every_nth: 9, max_log_size: 1KB, retention: 1d}\n",
    )

    a, b = (job.log for job in made.foreground)
    assert (a.keep_every_nth, a.limit_bytes, a.retention_s) == (nth, 1024, 2 * 86400)
    assert (b.keep_every_nth, b.limit_bytes, b.retention_s) == (9, 1024, 86400)


def names(specs: Any) -> list[str]:
    return [spec.name for spec in specs]


FOUR = """{name: install, run: i}, {name: build, run: b, needs: [install], tags: [heavy]},
          {name: test, run: t, needs: [build]}, {name: lint, run: l, needs: [install]}"""


def test_foreground_and_background_are_cut_apart() -> None:
    made = planned(
        """{name: install, run: i}, {name: build, run: b, needs: [install], background: true},
           {name: assets, run: a, needs: [install], background: true}, {name: types, run: t, needs: [build]},
           {name: last, run: l, needs: [assets], background: true}"""
    )

    assert names(made.foreground) == ["install", "build", "types"]
    assert names(made.background) == ["assets", "last"]
    assert [spec.needs for spec in made.background] == [(), ("assets",)]
    assert made.background[0].full_needs == ("install",)
    assert any("'build' promoted to foreground (needed by 'types')" in one for one in made.notices)


def test_background_jobs_of_failed_needs_are_hopeless_with_all_behind_them() -> None:
    made = planned(
        """{name: f, run: x}, {name: a, run: x, needs: [f], background: true},
           {name: b, run: x, needs: [a], background: true}, {name: c, run: x, background: true}"""
    )

    specs = {spec.name: spec for spec in hopeless(made, {"f": "failed"})}

    assert specs["a"].skip is not None
    assert specs["a"].skip.reason == "dependency failed: f failed"
    assert specs["b"].skip is not None
    assert specs["c"].skip is None


@pytest.mark.parametrize(
    "hook", ["worktree-pre-create", "worktree-pre-remove", "pre-merge", "post-clone"]
)
def test_what_must_finish_first_is_never_detached(hook: str) -> None:
    made = planned("{name: a, run: x, background: true}", hook=hook)

    assert names(made.foreground) == ["a"]
    assert any("must finish first" in notice for notice in made.notices)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pw@host/r.git", "https://host/r.git"),
        ("https://token@host/r", "https://host/r"),
        ("HTTPS://a:b@c@host:8/r?x=y@z", "HTTPS://host:8/r?x=y@z"),
        ("ssh://git:pw@host/r", "ssh://git@host/r"),
        ("git@host:o/r", "git@host:o/r"),
        ("/w/a:b@c", "/w/a:b@c"),
        ("https://host/@scope/r", "https://host/@scope/r"),
    ],
)
def test_no_event_knows_the_credentials_of_a_url(url: str, shown: str) -> None:
    event = an_event(repository_url=url)

    assert without_credentials(url) == shown
    assert environment_of(event)["DAFT_REPOSITORY_URL"] == shown
    assert placeholder_values(event)["repository_url"] == shown


def test_placements() -> None:
    jobs = "{name: a, run: x}, {name: b, run: x, background: true}"
    foreground = planned(jobs, placement=Placement.FOREGROUND)
    background = planned(jobs, placement=Placement.BACKGROUND)
    ordered = planned(jobs, extra="parallel: false, ", placement=Placement.BACKGROUND)
    off = planned(jobs, placement=Placement.OFF)

    assert names(foreground.foreground) == ["a", "b"]
    assert names(background.background) == ["a", "b"]
    assert names(ordered.foreground) == ["a"]
    assert any("declares an order" in notice for notice in ordered.notices)
    assert off.skip_reason == "skipped by --hooks off"


@pytest.mark.parametrize(
    ("extra", "limits"),
    [
        ("", [7, None, 300]),
        ("timeout: 2s, ", [7, None, 2]),
        ("timeout: none, ", [7, None, None]),
    ],
)
def test_a_time_limit_is_the_jobs_own_else_its_hooks(
    extra: str, limits: list[float | None]
) -> None:
    made = planned(
        "{name: a, run: x, timeout: 7s}, {name: b, run: x, timeout: none}, {name: c, run: x}",
        extra=extra,
    )

    assert [spec.timeout_s for spec in made.foreground] == limits


@pytest.mark.parametrize(
    ("extra", "mode"),
    [("", RunMode.PARALLEL), ("parallel: false, ", RunMode.ORDERED), ("follow: true, ", RunMode.ORDERED),
     ("piped: true, ", RunMode.PIPED)],
)  # fmt: skip
def test_modes(extra: str, mode: RunMode) -> None:
    assert planned("{name: a, run: x}", extra=extra).mode is mode


def test_skipping_takes_along_what_needs_it_and_says_through_whom() -> None:
    heavy = planned(FOUR, selectors=parse_selectors(["tag:heavy"]))
    install = planned(FOUR, selectors=parse_selectors(["install"]))

    assert {s.name: s.skip.reason for s in heavy.skipped if s.skip} == {
        "build": "requested (--skip-hooks)",
        "test": "depends on build (skipped)",
    }
    assert names(heavy.foreground) == ["install", "lint"]
    assert len(install.skipped) == 4


def test_selectors() -> None:
    selectors = parse_selectors([" tag:x , job:all ", "worktree-post-create", "post-create"])

    assert selectors.tags == {"x"}
    assert selectors.jobs == {"all", "post-create"}
    assert selectors.hooks == {"worktree-post-create"}
    assert not selectors.everything
    assert parse_selectors(["*"]).everything
    assert planned(FOUR, selectors=parse_selectors(["nothing"])).unmatched == ("nothing",)
    whole = planned(FOUR, selectors=selectors)
    assert not whole.runs
    assert {s.skip.reason for s in whole.skipped if s.skip} == {"requested (--skip-hooks)"}


def test_one_job_can_be_run_without_what_it_needs() -> None:
    made = planned(FOUR, narrowing=Narrowing(jobs=frozenset({"test"})))

    assert names(made.foreground) == ["test"]
    assert made.foreground[0].needs == ()
    assert any("not run, although needed: build" in notice for notice in made.notices)
    with pytest.raises(BadSelection, match="no job 'nothing'"):
        planned(FOUR, narrowing=Narrowing(jobs=frozenset({"nothing"})))
    with pytest.raises(BadSelection, match="tagged 'nothing'"):
        planned(FOUR, narrowing=Narrowing(tags=frozenset({"nothing"})))


def test_a_job_skipped_by_its_condition_satisfies_what_needs_it() -> None:
    made = planned(
        "{name: a, run: x, skip: true}, {name: b, run: y, needs: [a]}, {name: c, run: {windows: z}},"
        "{name: d, run: x, arch: aarch64}"
    )

    assert names(made.foreground) == ["b"]
    assert made.foreground[0].needs == ()
    assert {s.name: s.skip.kind for s in made.skipped if s.skip} == {
        "a": SkipKind.CONDITION,
        "c": SkipKind.PLATFORM,
        "d": SkipKind.ARCH,
    }


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("skip: true", "skip: true"),
        ("only: false", "only: false"),
        ("skip: CI", "skip: env $CI is set"),
        ("only: NOPE", "only: env $NOPE is not set"),
        ("skip: [merge]", "skip: in merge state"),
        ("only: [rebase]", "only: not in rebase state"),
        ("skip: [{ref: 'feat/*'}]", "skip: ref matches 'feat/*'"),
        ("only: {ref: main}", "only: ref does not match 'main'"),
        ("skip: [{run: good}]", "skip: command succeeded: good"),
        ("only: [{run: bad, desc: because}]", "because"),
        ("skip: {macos: [{env: CI}]}", None),
        ("only: {macos: [{env: CI}]}", "only: nothing is said of linux"),
        ("only: {env: DAFT_IS_NEW_BRANCH}", "only: env $DAFT_IS_NEW_BRANCH is not set"),
        ("skip: FALSE_ONE", None),
    ],
)
def test_conditions(condition: str, reason: str | None) -> None:
    facts = Facts(
        environment={"CI": "1", "FALSE_ONE": "False", "DAFT_IS_NEW_BRANCH": "false"},
        branch="feat/x",
        states=frozenset({"merge"}),
        succeeded={("good", 10.0): True, ("bad", 10.0): False},
    )

    made = planned(f"{{name: a, run: x, {condition}}}", facts=facts)

    assert [s.skip.reason for s in made.skipped if s.skip] == ([] if reason is None else [reason])
    whole = planned("{name: a, run: x}", extra=f"{condition}, ", facts=facts)
    assert whole.skip_reason == reason


def test_words_of_conditions() -> None:
    assert is_truthy("no")
    assert not is_truthy("FALSE")
    assert ref_matches("release/*", "release/1/2")
    assert ref_matches("{feat,fix}/*", "fix/x")
    assert not ref_matches("a*a", "a")


def test_what_cannot_run_is_told_before_anything_does() -> None:
    with pytest.raises(UnplannableHook, match="a -> b -> a"):
        planned("{name: a, run: x, needs: [b]}, {name: b, run: x, needs: [a]}")
    with pytest.raises(UnplannableHook, match="no job is called 'zz'"):
        planned("{name: a, run: x, needs: [zz]}")
    with pytest.raises(UnplannableHook, match="base_branch"):
        planned("{name: a, run: x, root: '{base_branch}'}")


def test_a_job_gets_its_command_directory_and_environment() -> None:
    made = planned(
        """{name: a, run: 'echo {branch} {unknown} {job_name}', root: 'sub/{branch}', env: {X: '{worktree_slug}'}},
           {name: b, script: s.sh, runner: bash, args: '-x {branch}', timeout: 5m}""",
        top="rc: 'my rc'\n",
        timeout_s=42.0,
    )
    first, second = made.foreground

    assert "echo feat/x {unknown} a" in first.command
    assert first.command.startswith(". '/p.x/my rc' && {")
    assert first.working_dir == "/p.x/sub/feat/x"
    assert first.env["X"] == "p-x"
    assert first.env["DAFT_BRANCH_NAME"] == "feat/x"
    assert (first.timeout_s, second.timeout_s) == (42.0, 300.0)
    assert "bash /p.x/.daft/s.sh -x feat/x" in second.command


@given(value=st.text(max_size=30), text=st.text(alphabet="ab{}_ ", max_size=30))
def test_values_are_never_read_again(value: str, text: str) -> None:
    assert substitute("{a}", {"a": value}) == value
    if "{" not in text:
        assert substitute(text, {"a": value}) == text


def test_the_environment_of_an_event() -> None:
    found = environment_of(an_event(removal_reason="manual"))

    assert found["DAFT_HOOK"] == "worktree-post-create"
    assert found["DAFT_IS_NEW_BRANCH"] == "false"
    assert found["DAFT_REMOVAL_REASON"] == "manual"
    assert "DAFT_COMMIT" not in found
    assert "DAFT_HOOK" not in environment_of(an_event(task="dev"))


@pytest.mark.parametrize(
    ("path", "slug"),
    [("/p/feature/new", "feature-new"), ("/p", "p"), ("/e/My-WT", "my-wt"), ("/p/API_Server 2", "api-server-2"),
     ("/p/---", "worktree"), ("/p/日本語", "worktree"), ("/p/" + "a" * 100, "a" * 63),
     ("/p/" + "a" * 62 + "-tail", "a" * 62)],
)  # fmt: skip
def test_slugs(path: str, slug: str) -> None:
    assert worktree_slug(path, "/p") == slug


@st.composite
def hooks(draw: st.DrawFn) -> str:
    count = draw(st.integers(1, 7))
    jobs = []
    for number in range(count):
        earlier = [f"j{n}" for n in range(number)]
        needs = draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True)) if earlier else []
        background = draw(st.booleans())
        skip = draw(st.booleans()) and draw(st.booleans())
        tag = draw(st.sampled_from(["x", "y"]))
        jobs.append(
            f"{{name: j{number}, run: c, needs: [{', '.join(needs)}], tags: [{tag}],"
            f" background: {str(background).lower()}, skip: {str(skip).lower()}}}"
        )
    return ", ".join(jobs)


@settings(max_examples=200)
@given(jobs=hooks(), selector=st.sampled_from(["", "tag:x", "j0", "j1"]), narrow=st.booleans())
def test_every_plan_keeps_the_rules(jobs: str, selector: str, narrow: bool) -> None:
    narrowing = Narrowing(jobs=frozenset({"j0"})) if narrow else Narrowing()
    made = planned(jobs, selectors=parse_selectors([selector]), narrowing=narrowing)
    everyone = planned(jobs)
    placed = [*names(made.foreground), *names(made.background), *names(made.skipped)]

    assert sorted(placed) == sorted(
        [*names(everyone.foreground), *names(everyone.background), *names(everyone.skipped)]
    ), "every declared job is in exactly one place"
    assert len(placed) == len(set(placed))
    for part in (made.foreground, made.background):
        for spec in part:
            assert set(spec.needs) <= set(names(part)), "needs stay inside their phase"
    assert all(spec.skip is not None for spec in made.skipped)
    started = {*names(made.foreground), *names(made.background)}
    assert started <= {*names(everyone.foreground), *names(everyone.background)}


@given(st.data())
def test_a_cascade_is_closed(data: st.DataObject) -> None:
    text = data.draw(hooks())
    loaded = load_from({"daft.yml": f"hooks: {{post-clone: {{jobs: [{text}]}}}}".encode()}.get)
    assert loaded is not None
    jobs = loaded.configuration.hooks["post-clone"].jobs
    dropped = drop(jobs, selectors=parse_selectors(["tag:x"])).skips

    for job in jobs:
        direct = "x" in job.tags
        assert (job.name in dropped) == (direct or any(name in dropped for name in job.needs))


# --- settings ---------------------------------------------------------------------------------


def test_settings() -> None:
    found = hook_settings(
        {
            "daft.hooks.postclone.enabled": "off",
            "daft.hooks.worktreeprecreate.failmode": "WARN",
            "daft.hooks.worktreepostcreate.failmode": "abrot",
            "daft.hooks.timeout": "90",
        }
    )

    assert found.disabled == {"post-clone"}
    assert found.fail_modes["worktree-pre-create"].value == "warn"
    assert found.timeout_s == 90
    assert len(found.warnings) == 1
    assert hook_settings({"daft.hooks.timeout": "soon"}).timeout_s == 300
    assert hook_settings({"daft.hooks.timeout": "9" * 400}).timeout_s == 300


def test_settings_under_old_names_count_where_there_is_no_new_one() -> None:
    found = hook_settings(
        {
            "daft.hooks.postcreate.enabled": "false",
            "daft.hooks.precreate.failmode": "warn",
            "daft.hooks.preremove.enabled": "false",
            "daft.hooks.worktreepreremove.enabled": "true",
            "daft.hooks.postmerge.enabled": "perhaps",
        }
    )

    assert found.disabled == {"worktree-post-create"}
    assert found.fail_modes["worktree-pre-create"].value == "warn"
    (warning,) = found.warnings
    assert "daft.hooks.postMerge.enabled is 'perhaps', neither true nor false" in warning
