"""What `daft hooks validate` says: every problem that can be noted, with its place and weight.

The manual has a row for each of these (docs/daft-yml.md, "What validate says").
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import daft_hooks
from daft_hooks import load_from
from daft_hooks.errors import BadConfiguration, Problem

HEAD = "hooks:\n  worktree-post-create:\n"
JOBS = HEAD + "    jobs:\n"


def hook(*lines: str) -> str:
    return HEAD + "".join(f"    {line}\n" for line in lines)


def jobs(*lines: str) -> str:
    return JOBS + "".join(f"      - {line}\n" for line in lines)


def job(rest: str) -> str:
    return jobs(f"{{name: a, run: x, {rest}}}")


BOMB = "".join(
    [
        "a0: &a0 [x, x]\n",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)),
    ]
)
CHAIN = {f"{n}.yml": f"extends: {n + 1}.yml\n" for n in range(20)}
FAN = {f"{n}.yml": f"extends: [{n + 1}.yml, {n + 1}.yml]\n" for n in range(9)} | {"9.yml": ""}

# id -> severity, the file or the files by name, place, words of the message.
ROWS: dict[str, tuple[str, str | bytes | Mapping[str, str], str, str]] = {
    # the text
    "too-large": ("fatal", "x: '" + "y" * 1_100_000 + "'", "1:1", "larger than 1048576 bytes"),
    "utf-16": ("fatal", b"\xff\xfea\x00", "1:1", "UTF-16; save it as UTF-8"),
    "not-utf-8": ("fatal", b"a: b\nc: \xff\n", "2:1", "not UTF-8"),
    "not-yaml": ("fatal", "hooks: [\n", "2:1", "not valid YAML"),
    "a-character-no-yaml-holds": ("fatal", "a: \x01\n", "1:1", "not valid YAML"),
    "tabs": ("fatal", "hooks:\n\tx: 1\n", "2:1", "indent with blanks, not tabs"),
    "several-documents": ("fatal", "a: 1\n---\nb: 1\n", "2:1", "several documents; keep one"),
    "top-level": ("fatal", "- a\n", "1:1", "top level must be a map, found a list"),
    "nested-too-deep": ("fatal", "[" * 1000, "1:65", "nested deeper than 64 levels"),
    "too-many-values": ("fatal", BOMB, "6:25", "aliases counted in full"),
    "key-is-a-map": ("fatal", "{{a: b}: c}\n", "1:2", "a key must be a text"),
    "key-is-an-alias-of-a-list": ("fatal", "a: &a [b]\n*a : c\n", "1:4", "a key must be a text"),
    "unknown-alias": ("fatal", "a: *nothing\n", "1:4", "no anchor &nothing above"),
    "alias-in-itself": ("fatal", "a: &a [*a]\n", "1:8", "would contain itself"),
    "key-twice": ("fatal", "hooks: {a: 1, a: 2}\n", "1:15", "a second time, first at daft.yml:1:9"),
    # the files
    "extends-nothing": ("fatal", "extends: [more.yml]\n", "1:11", "'more.yml' does not exist"),
    "extends-outside": ("fatal", "extends: ../up.yml\n", "1:10", "leads out of the repository"),
    "extends-in-a-circle": (
        "fatal",
        {"daft.yml": "extends: a.yml\n", "a.yml": "extends: daft.yml\n"},
        "a.yml:1:10",
        "daft.yml -> a.yml -> daft.yml goes round in a circle",
    ),
    "extends-too-far": (
        "fatal",
        {"daft.yml": "extends: 0.yml\n", **CHAIN},
        "15.yml:1:10",
        "more than 16 files away from daft.yml",
    ),
    "extends-too-often": (
        "fatal",
        {"daft.yml": "extends: 0.yml\n", **FAN},
        "5.yml:1:11",
        "more than 100 files are extended",
    ),
    "extends-no-path": ("fatal", "extends: [{paht: x}]\n", "1:11", "expected a path, or a map"),
    "extends-optional-perhaps": (
        "fatal",
        "extends: [{path: x, optional: perhaps}]\n",
        "1:31",
        "expected true or false",
    ),
    "old-overlay": (
        "warning",
        {"daft.yml": "", "daft-local.yml": ""},
        "daft-local.yml:1:1",
        "rename the file to daft.local.yml",
    ),
    "hook-file-replaces-a-job": (
        "hint",
        {
            "daft.yml": job("tags: t"),
            "worktree-post-create.yml": "jobs:\n  - {name: a, run: y}\n",
        },
        "worktree-post-create.yml:2:5",
        "takes the place of the job of that name at daft.yml:4:9",
    ),
    # keys and values
    "unknown-key": ("warning", "hoks: {}\n", "1:1", "'hoks', ignored; did you mean 'hooks'?"),
    "key-of-no-effect": ("warning", "colors: true\n", "1:1", "'colors' has no effect"),
    "refused-key": ("fatal", job("retry: 3"), "4:27", "'retry' is not supported by this version"),
    "says-nothing": ("hint", "hooks:\n", "1:1", "says nothing"),
    "no-map": ("fatal", "hooks: [a]\n", "1:8", "expected a map, found a list"),
    "no-text": ("fatal", job("root: [b]"), "4:33", "expected a text, found a list"),
    "no-texts": ("fatal", job("tags: {b: c}"), "4:33", "expected a text or a list of texts"),
    "nul-character": ("fatal", job('root: "a\\0b"'), "4:33", "holds a NUL character"),
    "no-boolean": ("fatal", job("background: yes"), "4:39", "true or false (write true), found"),
    "no-number": ("fatal", job("priority: high"), "4:37", "expected a whole number"),
    "number-too-small": ("fatal", hook("max_parallel: 0"), "3:19", "must be 1 or more, found 0"),
    "unknown-word": ("fatal", job("arch: x86-64"), "4:33", "did you mean 'x86_64'?"),
    "list-of-words": ("fatal", hook("fail_mode: [warn]"), "3:16", "expected one of abort, warn"),
    "no-merge-map": ("fatal", "merge: only\n", "1:8", "expected a map with `ff` or `source_worktree`"),
    "unknown-guard": ("fatal", "merge: {f: only}\n", "1:9", "unknown field 'f'; did you mean 'ff'?"),
    "guard-in-other-words": ("fatal", "merge: {ff: yes}\n", "1:13", "'yes' is not only"),
    "name-of-no-variable": ("fatal", job("env: {A=B: c}"), "4:33", "cannot be the name of a var"),
    "no-quantity": ("error", job("timeout: 5y"), "4:36", "'5y': a duration is a number with"),
    "no-time-at-all": ("error", job("timeout: 0s"), "4:36", "more than nothing; `none` sets no"),
    "no-log-at-all": ("error", "log: {max_log_size: 0}\n", "1:21", "must be more than nothing"),
    "more-than-a-day": ("hint", job("timeout: 25h"), "4:36", "longer than a day"),
    "bad-glob": ("fault", job("files: x, glob: '['"), "4:43", "["),
    "bad-ref": ("fault", job("skip: [{ref: '['}]"), "4:40", "["),
    "glob-of-the-top-only": ("hint", job("files: x, glob: '*.py'"), "4:43", "write '**/*.py'"),
    "no-log-map": ("fatal", "log: 7d\n", "1:6", "expected a map with retention, max_log_size"),
    # the file as a whole
    "min-version-is-newer": ("fatal", "min_version: '99.0'\n", "1:14", "requires daft 99.0"),
    "min-version-is-none": ("warning", "min_version: nine\n", "1:14", "no version such as 1.2"),
    "unknown-hook": ("error", "hooks: {post-clon: {}}\n", "1:9", "did you mean 'post-clone'?"),
    "task-name": ("fatal", "tasks: {'a b': {}}\n", "1:9", "cannot be the name of a task"),
    "task-called-as-a-hook": (
        "hint",
        "tasks: {pre-merge: {jobs: [{run: x}]}}\n",
        "1:9",
        "'pre-merge' is also the name of a hook",
    ),
    "task-of-commands": (
        "fault",
        "tasks: {t: {commands: {a: {run: x}}}}\n",
        "1:13",
        "tasks take `jobs`, not `commands`",
    ),
    "task-fail-mode": (
        "warning",
        "tasks: {t: {fail_mode: warn, jobs: [{run: x}]}}\n",
        "1:13",
        "'fail_mode' has no effect on a task",
    ),
    "copy-without-paths": ("error", "copy: {max_size: 1KB}\n", "1:7", "names no `paths`, so nothing"),
    "copy-of-a-path-with-a-slash": ("error", "copy: [/x]\n", "1:8", "begins with a slash"),
    "copy-of-a-path-outside": ("error", "copy: [a/../../x]\n", "1:8", "inside of the worktree is"),
    "copy-of-all": ("error", "copy: [./]\n", "1:8", "the whole worktree"),
    "copy-of-gits-own": ("error", "copy: [.git/x]\n", "1:8", "belongs to git, and is never copied"),
    "copy-of-a-bad-glob": ("error", "copy: ['[']\n", "1:8", "["),
    "copy-size": ("error", "copy: {paths: [x], max_size: 1XB}\n", "1:30", "a size is a number"),
    "copy-twice": ("warning", "copy: [x, ./x]\n", "1:11", "a second time, first at daft.yml:1:8"),
    "shared-path": ("error", "shared: [../x]\n", "1:10", "no path inside of the worktree"),
    "relation-map": ("fatal", "relations: {api: x}\n", "1:12", "a list of URLs"),
    "relation-url": ("error", "relations: [{name: x}]\n", "1:13", "'' names no repository"),
    "relation-field": ("warning", "relations: [{url: x, nam: y}]\n", "1:22", "did you mean 'name'?"),
    "relation-twice": ("warning", "relations: [x, x]\n", "1:16", "stands here a second time"),
    # a hook or a task
    "no-hook-map": ("fatal", "hooks: {post-clone: x}\n", "1:21", "expected a map with `jobs:`"),
    "modes-exclude-each-other": (
        "error",
        hook("piped: true", "follow: true", "jobs: [{run: x}]"),
        "2:3",
        "piped and follow exclude each other; keep one",
    ),
    "no-jobs": ("warning", hook("fail_mode: warn"), "2:3", "has no jobs, so it does nothing; nor"),
    "jobs-and-commands": (
        "warning",
        hook("jobs: [{run: x}]", "commands: {b: {run: y}}"),
        "4:5",
        "`commands` is the old form of `jobs`",
    ),
    "no-command-map": ("fatal", hook("commands: {b: y}"), "3:19", "expected a map with `run:`"),
    "command-name": ("fatal", hook('commands: {"a\\nb": {run: y}}'), "3:16", "control character"),
    "hook-asks-for-changes": (
        "fault",
        hook("skip: [{changed: '**'}]", "jobs: [{run: x}]"),
        "2:3",
        "asks for changed files, which only merges know; use `run`",
    ),
    # needs
    "unknown-need": ("fault", job("needs: [b]"), "4:35", "no job is called 'b'"),
    "needs-without-name": (
        "error",
        jobs("{run: x, needs: [a]}", "{name: a, run: x}"),
        "4:9",
        "has `needs` and no `name`; name it",
    ),
    "needs-in-a-circle": (
        "fault",
        jobs("{name: a, run: x, needs: b}", "{name: b, run: x, needs: a}"),
        "4:34",
        "a -> b -> a; remove one of these needs",
    ),
    "background-job-is-needed": (
        "hint",
        jobs(
            "{name: a, run: x, background: true}",
            "{name: b, run: x, background: true, needs: a}",
            "{name: c, run: x, needs: b}",
        ),
        "5:52",
        "background job 'a' runs in the foreground, as this job needs it",
    ),
    # a job
    "no-list-of-jobs": ("fatal", hook("jobs: {a: b}"), "3:11", "expected a list of jobs"),
    "no-job-map": ("fatal", jobs("just text"), "4:9", "expected a job: a map with `run:`"),
    "job-name": ("fatal", jobs('{name: "a\\nb", run: x}'), "4:16", "control character"),
    "job-name-is-long": ("fatal", jobs(f"{{name: {'n' * 300}, run: x}}"), "4:16", "longer than"),
    "job-without-a-name": ("note", jobs("{run: x}"), "4:9", "has no name; it is called 'job-1'"),
    "job-twice": (
        "fatal",
        jobs("{name: a, run: x}", "{name: a, run: y}"),
        "5:9",
        "a second job 'a'; the first is at daft.yml:4:9",
    ),
    "job-of-a-group-twice": (
        "fatal",
        jobs("{name: g/a, run: x}", "{name: g, group: {jobs: [{name: a, run: x}]}}"),
        "5:34",
        "a second job 'g/a'; the first is at daft.yml:4:9",
    ),
    "two-kinds-of-work": ("fault", job("script: y"), "4:27", "`run` and `script` exclude each"),
    "nothing-to-run": ("fault", jobs("{name: a}"), "4:9", "has nothing to run; give it `run:`"),
    "run-of-null": ("fault", jobs("{name: a, run: }"), "4:24", "is empty; write the command"),
    "empty-run": ("fault", jobs("{name: a, run: ''}"), "4:24", "is empty; write the command"),
    "run-for-no-system": ("fault", jobs("{name: a, run: {}}"), "4:24", "is empty; write the"),
    "unknown-system": ("fatal", jobs("{name: a, run: {linus: x}}"), "4:25", "mean 'linux'?"),
    "no-effect-without": ("warning", job("runner: sh"), "4:27", "no effect without `script`"),
    "script-without-runner": ("hint", jobs("{script: s}"), "4:9", "its script must be executable"),
    "interactive-in-the-background": (
        "hint",
        job("interactive: true, background: true"),
        "4:9",
        "is interactive, so it runs in the foreground",
    ),
    "interactive-with-a-limit": (
        "hint",
        job("interactive: true, timeout: 5s"),
        "4:9",
        "is interactive, so its 'timeout' does not count",
    ),
    "background-output-in-the-foreground": (
        "hint",
        job("background_output: silent"),
        "4:9",
        "'background_output' has no effect on a foreground job",
    ),
    "background-job-must-finish-first": (
        "hint",
        "hooks: {pre-merge: {jobs: [{run: x, background: true}]}}\n",
        "1:28",
        "runs in the foreground, as pre-merge must finish first",
    ),
    "priority-of-an-only-job": ("hint", job("priority: 3"), "4:9", "as this is the only job"),
    "priority-of-all-jobs": (
        "hint",
        jobs("{run: x, priority: 3}", "{run: y, priority: 3}"),
        "4:9",
        "'priority' has no effect, as all jobs have the same",
    ),
    "job-asks-for-changes": (
        "fault",
        job("only: [{changed: '**'}]"),
        "4:9",
        "`changed` asks for changed files, which only merges know; use `glob` with `files`",
    ),
    "glob-without-changes": ("fault", job("glob: '**'"), "4:9", "know; add `files:`, a command"),
    "exclude-without-changes": ("fault", job("exclude: '**'"), "4:9", "add `files:`, a command"),
    "unknown-placeholder-in-root": (
        "fault",
        job("root: '{worktre_path}'"),
        "4:33",
        "unknown placeholder {worktre_path}; did you mean 'worktree_path'?",
    ),
    "unknown-placeholder-in-run": (
        "hint",
        jobs("{name: a, run: 'echo {brnch}'}"),
        "4:24",
        "unknown placeholder {brnch}, left as it is; did you mean 'branch'?",
    ),
    "unknown-placeholder-in-env": (
        "hint",
        job("env: {A: '{nonsense}'}"),
        "4:36",
        "unknown placeholder {nonsense}, left as it is",
    ),
    "unquoted-branch": ("hint", jobs("{run: 'echo {branch}'}"), "4:15", "write {branch|q}"),
    # a group
    "no-group-map": ("fatal", jobs("{name: g, group: x}"), "4:26", "expected a map with `jobs:`"),
    "group-modes": (
        "error",
        jobs("{name: g, group: {parallel: true, piped: true, jobs: [{run: x}]}}"),
        "4:26",
        "parallel and piped exclude each other; piped counts",
    ),
    "group-without-jobs": ("warning", jobs("{name: g, group: {}}"), "4:26", "has no jobs"),
    "groups-too-deep": (
        "fatal",
        jobs("{name: g, group: {jobs: [" * 9 + "{run: x}" + "]}}" * 9),
        "4:226",
        "groups are nested deeper than 8 levels",
    ),
    "no-effect-on-a-group": (
        "warning",
        jobs("{name: g, timeout: 5s, group: {jobs: [{run: x}]}}"),
        "4:19",
        "'timeout' has no effect on a group; give it to its jobs",
    ),
    # conditions
    "condition-looks-like-a-state": ("warning", job("skip: merge"), "4:33", "write `[merge]`"),
    "condition-looks-like-a-boolean": ("warning", job("skip: yes"), "4:33", "true and false"),
    "condition-is-a-quoted-boolean": ("warning", job("skip: 'true'"), "4:33", "without quotes"),
    "unknown-state": ("warning", job("skip: [mege]"), "4:34", "did you mean 'merge'?"),
    "rule-is-a-list": ("fatal", job("skip: [[a]]"), "4:34", "expected merge, rebase, or a map"),
    "rule-tests-nothing": ("warning", job("skip: [{desc: d}]"), "4:34", "so it never holds"),
    "rule-time-without-command": (
        "warning",
        job("skip: [{env: A, timeout: 5s}]"),
        "4:34",
        "`timeout` has no effect without `run`",
    ),
    # env
    "no-env-map": ("fatal", "env: x\n", "1:6", "expected a map with ports and values"),
    "env-scheme": ("error", "env: {scheme: 2}\n", "1:15", "only 1 is known, found 2"),
    "env-range": ("error", "env: {range: 1-x}\n", "1:14", "no range of ports such as 20000-32767"),
    "env-too-small": ("error", "env: {range: 3000-3009}\n", "1:14", "too small for two blocks"),
    "env-write": ("error", "env: {write: ../x}\n", "1:14", "no path inside of the worktree"),
    "env-no-list-of-ports": ("fatal", "env: {ports: {A: 1}}\n", "1:14", "expected a list of names"),
    "env-no-port": ("fatal", "env: {ports: [[A]]}\n", "1:15", "expected `NAME` or `NAME: offset`"),
    "env-offset-twice": (
        "error",
        "env: {ports: [A: 1, B: 1]}\n",
        "1:21",
        "B has the offset 1, which A has already",
    ),
    "env-offset-too-large": (
        "error",
        "env: {ports: [A: 16]}\n",
        "1:15",
        "A has the offset 16, and a block only 16 ports",
    ),
    "env-name": ("error", "env: {ports: [web]}\n", "1:15", "no name such as WEB_PORT"),
    "env-name-is-taken": ("error", "env: {ports: [DAFT_X]}\n", "1:15", "begin with DAFT_ are taken"),
    "env-name-twice": (
        "error",
        "env: {ports: [A], values: {A: x}}\n",
        "1:28",
        "A is declared a second time, first at daft.yml:1:15",
    ),
    "env-unknown-placeholder": (
        "error",
        "env: {values: {A: '{brnch}'}}\n",
        "1:19",
        "unknown placeholder {brnch}; did you mean 'branch'?",
    ),
    "env-unknown-port": (
        "error",
        "env: {ports: [WEB], values: {A: '{env:WEBB}'}}\n",
        "1:33",
        "{env:WEBB} is no port declared here; did you mean 'WEB'?",
    ),
}  # fmt: skip


def problems(given: str | bytes | Mapping[str, str]) -> tuple[Problem, ...]:
    """Return everything that is said of a file, or of files by name."""
    if isinstance(given, Mapping):
        files = {name: text.encode() for name, text in given.items()}
    else:
        files = {"daft.yml": given if isinstance(given, bytes) else given.encode()}
    try:
        loaded = load_from(files.get)
    except BadConfiguration as error:
        return error.problems
    assert loaded is not None
    return loaded.decoded.problems


@pytest.mark.parametrize("row", ROWS)
def test_what_validate_says(row: str) -> None:
    severity, given, place, said = ROWS[row]
    where = place if place.count(":") == 2 else f"daft.yml:{place}"

    found = problems(given)

    fitting = [one for one in found if str(one.mark) == where and said in one.message]
    assert [one.severity.value for one in fitting] == [severity], [
        f"{one.severity.value} {one}" for one in found
    ]


SOURCES = Path(daft_hooks.__file__).parent
NOTING = {"note", "wrong", "_error", "_fault"}
LOOK_AT_THE_WORKTREE = {"inspection.py", "sealing.py"}
"""Shown by tests of their own; and `note` of a seal is another word."""


def noting() -> Iterator[tuple[str, int, int]]:
    """Yield file, first and last line of every statement that notes a problem."""
    for path in SOURCES.glob("*.py"):
        if path.name in LOOK_AT_THE_WORKTREE:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Expr | ast.Raise | ast.Return) and _notes(node):
                yield str(path), node.lineno, node.end_lineno or node.lineno


def _notes(statement: ast.AST) -> bool:
    called = getattr(statement, "value", None) or getattr(statement, "exc", None)
    if not isinstance(called, ast.Call):
        return False
    function = called.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in NOTING


def test_no_problem_is_noted_that_is_not_in_the_table() -> None:
    reached: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(str(SOURCES)):
            return None
        reached.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for _, given, _, _ in ROWS.values():
            problems(given)
    finally:
        sys.settrace(before)

    sites = list(noting())
    assert len(sites) > 80
    assert [
        f"{Path(file).name}:{first}"
        for file, first, last in sites
        if not any((file, line) in reached for line in range(first, last + 1))
    ] == []
