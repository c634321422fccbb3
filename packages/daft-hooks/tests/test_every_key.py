"""No key of daft.yml is read in vain: setting it changes what happens, or what is said."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import fields

from daft_hooks import Event, Loaded, Options, load_from, parse_selectors, plan
from daft_hooks.domain.changes import Listing
from daft_hooks.domain.conditions import EVENTS_OWN, Facts
from daft_hooks.domain.config import (
    Configuration,
    EnvConfig,
    HookConfig,
    JobConfig,
    LogConfig,
)
from daft_hooks.domain.event import Move
from daft_hooks.domain.retaining import declared_policy
from daft_hooks.domain.shape import SHAPES
from daft_hooks.domain.showing import as_data
from daft_hooks.errors import BadConfiguration, UnplannableHook
from daft_hooks.probes import Answers

JOBS = "jobs: [{name: a, run: x}, {name: b, run: y, tags: [t]}]"
HOOK = f"hooks: {{pre-merge: {{{JOBS}%s}}}}"
JOB = "hooks: {pre-merge: {jobs: [{name: z, run: x}, {name: a%s}]}}"
GROUP = "hooks: {pre-merge: {jobs: [{name: g, group: {%s}}]}}"
COMMAND = "hooks: {pre-merge: {commands: {a: {%s}}}}"
LOG = "{hooks: {pre-merge: {jobs: [{name: a, run: x}]}}, log: {%s}}"
ENV = "{hooks: {pre-merge: {jobs: [{name: a, run: x}]}}, env: {%s}}"
COPY = "{hooks: {pre-merge: {jobs: [{name: a, run: x}]}}, copy: {%s}}"
RULE = "hooks: {pre-merge: {jobs: [{name: a, run: x, skip: [{%s}]}]}}"
TOP = f"{{hooks: {{pre-merge: {{{JOBS}}}}}%s}}"
SCRIPT = "{hooks: {pre-merge: {jobs: [{name: a, script: s}]}}%s}"
TASK = "{tasks: {t: {jobs: [{name: a, run: x}]}}}"

PAIRS: dict[str, tuple[str, str]] = {
    "top.hooks": ("{}", HOOK % ""),
    "top.tasks": ("{}", TASK),
    "top.env": (TOP % "", TOP % ", env: {ports: [A]}"),
    "top.copy": (TOP % "", TOP % ", copy: [a]"),
    "top.log": (TOP % "", TOP % ", log: {retention: 1d}"),
    "top.extends": (TOP % "", TOP % ", extends: more.yml"),
    "top.rc": (TOP % "", TOP % ", rc: env.sh"),
    "top.source_dir": (SCRIPT % "", SCRIPT % ", source_dir: other"),
    "top.source_dir_local": (SCRIPT % "", SCRIPT % ", source_dir_local: mine"),
    "top.min_version": (TOP % "", TOP % ", min_version: '99'"),
    "top.shared": (TOP % "", TOP % ", shared: [.env]"),
    "top.merge": (TOP % "", TOP % ", merge: {ff: only}"),
    "top.relations": (TOP % "", TOP % ", relations: [x]"),
    "top.layout": (TOP % "", TOP % ", layout: contained"),
    "hook.jobs": ("hooks: {pre-merge: {}}", HOOK % ""),
    "hook.parallel": (HOOK % "", HOOK % ", parallel: false"),
    "hook.piped": (HOOK % "", HOOK % ", piped: true"),
    "hook.follow": (HOOK % "", HOOK % ", follow: true"),
    "hook.background": (HOOK % "", HOOK % ", background: true"),
    "hook.timeout": (HOOK % "", HOOK % ", timeout: 5m1s"),
    "hook.fail_mode": (HOOK % "", HOOK % ", fail_mode: warn"),
    "hook.skip": (HOOK % "", HOOK % ", skip: true"),
    "hook.only": (HOOK % "", HOOK % ", only: false"),
    "hook.exclude_tags": (HOOK % "", HOOK % ", exclude_tags: [t]"),
    "hook.exclude": (
        "hooks: {pre-merge: {jobs: [{name: a, run: x, glob: '**'}]}}",
        "hooks: {pre-merge: {jobs: [{name: a, run: x, glob: '**'}], exclude: ['**']}}",
    ),
    "hook.log": (HOOK % "", HOOK % ", log: {retention: 1d}"),
    "hook.max_parallel": (HOOK % "", HOOK % ", max_parallel: 2"),
    "hook.disabled": (HOOK % "", HOOK % ", disabled: true"),
    "hook.commands": (HOOK % "", HOOK % ", commands: {c: {run: z}}"),
    "job.name": (JOB % ", run: x", "hooks: {pre-merge: {jobs: [{name: z, run: x}, {run: x}]}}"),
    "job.run": (JOB % ", run: x", JOB % ", run: y"),
    "job.script": (JOB % ", script: s", JOB % ", script: t"),
    "job.runner": (JOB % ", script: s", JOB % ", script: s, runner: sh"),
    "job.args": (JOB % ", script: s", JOB % ", script: s, args: -x"),
    "job.env": (JOB % ", run: x", JOB % ", run: x, env: {A: b}"),
    "job.needs": (JOB % ", run: x", JOB % ", run: x, needs: [z]"),
    "job.interactive": (JOB % ", run: x", JOB % ", run: x, interactive: true"),
    "job.files": (JOB % ", run: x", JOB % ", run: x, files: list"),
    "job.uses": (JOB % ", uses: tool", JOB % ", uses: other"),
    "job.with": (JOB % ", uses: tool", JOB % ", uses: tool, with: {A: b}"),
    "job.group": (JOB % ", run: x", JOB % ", group: {jobs: [{run: x}]}"),
    **{
        f"job.{key}": (JOB % ", run: x", JOB % f", run: x, {key}: {value}")
        for key, value in {
            "description": "d", "root": "sub", "background": "true", "background_output": "silent",
            "timeout": "5s", "cancel_grace_period": "20s", "tags": "[t]", "skip": "true", "only": "false", "glob": "'*.py'",
            "exclude": "'**'", "arch": "aarch64", "priority": "-1", "tracks": "path",
            "fail_text": "oh", "log": "{retention: 1d}", "disabled": "true",
        }.items()
    },
    "group.jobs": (GROUP % "", GROUP % "jobs: [{run: x}]"),
    "group.parallel": (
        GROUP % "jobs: [{run: x}, {run: y}]", GROUP % "jobs: [{run: x}, {run: y}], parallel: false",
    ),
    "group.piped": (
        GROUP % "jobs: [{run: x}, {run: y}]", GROUP % "jobs: [{run: x}, {run: y}], piped: true",
    ),
    "command.run": (COMMAND % "run: x", COMMAND % "run: y"),
    "command.script": (COMMAND % "script: s", COMMAND % "script: t"),
    "command.runner": (COMMAND % "script: s", COMMAND % "script: s, runner: sh"),
    "command.tags": (COMMAND % "run: x", COMMAND % "run: x, tags: [t]"),
    "command.skip": (COMMAND % "run: x", COMMAND % "run: x, skip: true"),
    "command.env": (COMMAND % "run: x", COMMAND % "run: x, env: {A: b}"),
    **{
        f"log.{key}": (LOG % "", LOG % f"{key}: {value}")
        for key, value in {
            "retention": "1d", "max_log_size": "1KB", "max_total_size": "1MB", "keep_last": "9",
            "stale_running_after": "1h", "sampling_every_nth": "5",
        }.items()
    },
    "env.salt": (ENV % "ports: [A]", ENV % "ports: [A], salt: x"),
    "env.scheme": (ENV % "ports: [A]", ENV % "ports: [A], scheme: 2"),
    "env.range": (ENV % "ports: [A]", ENV % "ports: [A], range: 3000-4000"),
    "env.block_size": (ENV % "ports: [A]", ENV % "ports: [A], block_size: 3"),
    "env.ports": (ENV % "", ENV % "ports: [A]"),
    "env.write": (ENV % "ports: [A]", ENV % "ports: [A], write: .env"),
    "env.values": (ENV % "", ENV % "values: {A: b}"),
    "merge.ff": (TOP % ", merge: {}", TOP % ", merge: {ff: only}"),
    "merge.source_worktree": (TOP % ", merge: {}", TOP % ", merge: {source_worktree: clean}"),
    "copy.paths": (COPY % "", COPY % "paths: a"),
    "copy.fallback": (COPY % "paths: a", COPY % "paths: a, fallback: skip"),
    "copy.max_size": (COPY % "paths: a", COPY % "paths: a, max_size: 1MB"),
    "rule.ref": (RULE % "desc: d", RULE % "ref: 'b*'"),
    "rule.env": (RULE % "desc: d", RULE % "env: CI"),
    "rule.run": (RULE % "desc: d", RULE % "run: good"),
    "rule.changed": (RULE % "desc: d", RULE % "changed: '**'"),
    "rule.desc": (RULE % "env: CI", RULE % "env: CI, desc: because"),
    "rule.timeout": (RULE % "run: good", RULE % "run: good, timeout: 5s"),
}  # fmt: skip

# What is known while these are planned; `skip` and places need another event to show.
FACTS = Facts(
    environment={"CI": "1"},
    branch="b",
    succeeded={("good", 10.0): True},
    listings={EVENTS_OWN: Listing(files=("a.txt",)), "list": Listing()},
    present={"/p/mine/s": True},
    runners=Answers(lambda asked: f"call {asked.uses} {asked.given}"),
)


def read(text: str, overlay: str) -> Loaded:
    """Return what is read of a file and its overlay."""
    files = {"daft.yml": text, "daft.local.yml": overlay, "more.yml": "layout: nested"}
    loaded = load_from({name: held.encode() for name, held in files.items()}.get)
    assert loaded is not None
    return loaded


def observed(text: str, overlay: str = "{}") -> list[Any]:
    """Return all that a file leads to, with an overlay over it."""
    found: list[Any] = []
    try:
        loaded = read(text, overlay)
        configuration = loaded.configuration
    except BadConfiguration as error:
        return [[problem.message for problem in error.problems]]
    found += [problem.message for problem in loaded.decoded.problems]
    found += [configuration.layout, configuration.env, configuration.shared]
    found += [configuration.merge, configuration.relations, configuration.copy]
    for event_hook, task, move in (
        ("pre-merge", None, None),
        ("t", "t", None),
        ("pre-merge", None, MOVE),
    ):
        hooks = configuration.hooks if task is None else configuration.tasks
        hook = hooks.get(event_hook)
        if hook is None:
            continue
        event = Event(
            hook=event_hook, task=task, command="merge", project_root="/p", git_dir="/p/.git",
            remote="origin", source_worktree="/p", worktree_path="/p", branch="b", cwd="/p",
            label="b", move=move,
        )  # fmt: skip
        found += [hook.fail_mode, declared_policy(configuration, hook, "daft.yml")]
        for selectors in ("", "tag:t"):
            options = Options(selectors=parse_selectors([selectors]))
            try:
                made = plan(event, configuration, hook, FACTS, options)
            except UnplannableHook as error:
                found.append(str(error))
                continue
            found += [as_data(made), (*made.foreground, *made.background, *made.skipped)]
    return found


MOVE = Move(old_path="/o", old_branch="o", changed=frozenset({"path"}))


@pytest.mark.parametrize("key", PAIRS)
def test_a_key_changes_what_happens(key: str) -> None:
    without, with_it = PAIRS[key]

    assert "unknown field" not in str(observed(with_it))
    assert _without_places(observed(without)) != _without_places(observed(with_it))


def _without_places(found: list[Any]) -> str:
    """Return a text in which only what matters differs, not where it is written."""
    import re

    text = re.sub(r"daft(\.local)?\.yml:\d+:\d+", "daft.yml", repr(found))
    return re.sub(r"file='daft(\.local)?\.yml', line=\d+, column=\d+", "place", text)


# A job without a name replaces none: it is one more.
@pytest.mark.parametrize("key", [key for key in PAIRS if key != "job.name"])
def test_a_key_counts_in_an_overlay_and_below_one(key: str) -> None:
    without, with_it = PAIRS[key]
    meant = _without_places(observed(with_it))

    assert _without_places(observed(without, with_it)) == meant
    assert _without_places(observed(with_it, "{}")) == meant


def test_merging_leaves_no_field_of_a_configuration_out() -> None:
    """Each field is filled by some overlay; what is not written in a file is named here."""
    usual = {"name", "mark", "is_named", "needs_marks", "after", "faults", "disabled"}
    from_keys = {"groups", "outer", "group"}  # shown by what comes of them, see the pairs
    filled: set[tuple[str, str]] = set()
    for key, (without, with_it) in PAIRS.items():
        if key == "top.min_version":
            continue  # nobody satisfies it: it is told, and shown above
        configuration = read(without, with_it).decoded.configuration
        hooks = [*configuration.hooks.values(), *configuration.tasks.values()]
        jobs = [job for hook in hooks for job in hook.jobs]
        held = [configuration, configuration.env, configuration.log, *hooks, *jobs]
        for one in (*held, *(hook.log for hook in hooks), *(job.log for job in jobs)):
            if one is None:
                continue
            plain = type(one)(**{name: "" for name in ("name", "mark") if hasattr(one, name)})
            filled |= {
                (type(one).__name__, field.name)
                for field in fields(type(one))
                if getattr(one, field.name) != getattr(plain, field.name)
            }

    wanted = {
        (kind.__name__, field.name)
        for kind in (Configuration, HookConfig, JobConfig, LogConfig, EnvConfig)
        for field in fields(kind)
        if field.name not in usual | from_keys
    }
    assert wanted - filled == {("Configuration", "min_version"), ("EnvConfig", "scheme")}


def test_every_key_has_a_pair() -> None:
    keys = {f"{name}.{one.name}" for name, fields in SHAPES.items() for one in fields if one.effect}

    assert set(PAIRS) == keys


def test_what_has_no_effect_is_said_to_have_none() -> None:
    for name, shape in SHAPES.items():
        for one in shape:
            if not one.effect:
                text = f"{one.name}: true" if name == "top" else f"{name}: {{{one.name}: x}}"
                loaded = load_from({"daft.yml": text.encode()}.get)
                assert loaded is not None
                assert f"'{one.name}' has no effect" in str(loaded.decoded.problems)
