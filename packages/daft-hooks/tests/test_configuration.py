"""daft.yml: read, merged, judged; every fault named with its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daft_hooks import load, load_from, load_from_git
from daft_hooks.discovery import Loaded
from daft_hooks.document import parse
from daft_hooks.domain import shape
from daft_hooks.domain.config import RuleKind
from daft_hooks.domain.merging import merge
from daft_hooks.domain.quantities import seconds, size_bytes
from daft_hooks.domain.shape import GROUP, HOOK, JOB, LOG, TOP
from daft_hooks.errors import BadConfiguration, Problem, UnreadableConfiguration

HEAD = "hooks:\n  worktree-post-create:\n    jobs:\n"


def read(text: str, **files: str) -> Loaded:
    known = {"daft.yml": text.encode(), **{name: t.encode() for name, t in files.items()}}
    loaded = load_from(known.get)
    assert loaded is not None
    return loaded


def problems(text: str) -> tuple[Problem, ...]:
    try:
        return read(text).decoded.problems
    except BadConfiguration as error:
        return error.problems


def errors(text: str) -> list[str]:
    return [str(one) for one in problems(text) if one.is_error]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("hooks: [\n", "daft.yml:2:1", "not valid YAML"),
        ("hooks:\n\tx: 1\n", "daft.yml:2:1", "not tabs"),
        ("- a\n", "daft.yml:1:1", "top level must be a map"),
        ("a: 1\n---\nb: 1\n", "daft.yml:2:1", "several documents"),
        ("hoks: {}\n", "daft.yml:1:1", "did you mean 'hooks'"),
        ("hooks: {post-clon: {}}\n", "daft.yml:1:9", "did you mean 'post-clone'"),
        (HEAD + "      - {name: a, rum: x}\n", "daft.yml:4:19", "unknown field 'rum', ignored; did you mean 'run'"),
        (HEAD + "      - {name: a}\n", "daft.yml:4:9", "has nothing to run"),
        (HEAD + "      - {name: a, run: ''}\n", "daft.yml:4:24", "is empty"),
        (HEAD + "      - {name: a, run: x, script: y}\n", "daft.yml:4:27", "exclude each other"),
        (HEAD + "      - {name: a, run: x, needs: [b]}\n", "daft.yml:4:35", "no job is called 'b'"),
        (HEAD + "      - {name: a, run: x, needs: a}\n", "daft.yml:4:34", "a -> a"),
        (HEAD + "      - {run: x, needs: [a]}\n      - {name: a, run: x}\n", "daft.yml:4:9", "no `name`"),
        (HEAD + "      - {name: a, run: x}\n      - {name: a, run: y}\n", "daft.yml:5:9", "second job 'a'"),
        (HEAD + "      - {name: a, run: x, background: yes}\n", "daft.yml:4:39", "expected true or false (write true)"),
        (HEAD + "      - {name: a, run: x, timeout: 5y}\n", "daft.yml:4:36", "a duration is"),
        (HEAD + "      - {name: a, run: x, timeout: 0s}\n", "daft.yml:4:36", "more than nothing"),
        (HEAD + "      - {name: a, run: x, log: {max_log_size: 10XB}}\n", "daft.yml:4:47", "a size is"),
        (HEAD + "      - {name: a, run: x, group: {}}\n", "daft.yml:4:27", "exclude each other"),
        (HEAD + "      - {name: a, run: x, retry: {}}\n", "daft.yml:4:27", "not supported"),
        (HEAD + "      - {name: \"a\\nb\", run: x}\n", "daft.yml:4:16", "control character"),
        (HEAD + "      - {name: a, run: x, root: '{nonsense}'}\n", "daft.yml:4:33", "unknown placeholder"),
        (HEAD + "      - just text\n", "daft.yml:4:9", "expected a job"),
        (HEAD + "      - {name: a, run: {linus: x}}\n", "daft.yml:4:25", "did you mean 'linux'"),
        ("hooks: {post-clone: {fail_mode: abrot}}\n", "daft.yml:1:33", "none of abort, warn"),
        ("hooks: {post-clone: {piped: true, follow: true}}\n", "daft.yml:1:9", "exclude each other"),
        ("hooks: {a: 1, a: 2}\n", "daft.yml:1:15", "a second time, first at daft.yml:1:9"),
        ("min_version: '99.0'\n", "daft.yml:1:14", "requires daft 99.0"),
        ("min_version: nine\n", "daft.yml:1:14", "no version"),
        ("extends: [other.yml]\n", "daft.yml:1:11", "does not exist"),
        ("extends: ../up.yml\n", "daft.yml:1:10", "leads out of the repository"),
        ("a: *nothing\n", "daft.yml:1:4", ""),
        ("a: &a [*a]\n", "daft.yml:1:8", "contain itself"),
        ("[" * 1000, "daft.yml:1:65", "nested deeper"),
        ("x: '" + "y" * 1_100_000 + "'", "daft.yml:1:1", "larger than"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(text: str, place: str, said: str) -> None:
    found = [str(one) for one in problems(text)]

    assert any(one.startswith(place) and said in one for one in found), found


def test_every_problem_is_found_in_one_pass() -> None:
    assert (
        len(
            problems(
                HEAD
                + "      - {nam: a, rum: x}\n      - {name: b, run: y, needs: [zz], tags: {}}\n"
            )
        )
        >= 4
    )


def test_an_alias_bomb_is_told() -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]

    assert any("aliases counted in full" in one for one in errors("\n".join(lines)))


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"a: \xff\n"])
def test_another_encoding_is_told(data: bytes) -> None:
    with pytest.raises(BadConfiguration, match="UTF-"):
        parse(data, "daft.yml")


@pytest.mark.parametrize("text", ["", "# only\n", "\ufeffhooks: {}\r\n", "hooks:\n", "hooks: ~\n",
                                  "hooks: {post-clone: }\n"])  # fmt: skip
def test_what_says_nothing_is_valid(text: str) -> None:
    assert errors(text) == []


def test_the_dialect_is_yaml_1_2() -> None:
    job = read(
        HEAD + "      - {name: a, run: x, skip: yes, env: {PORT: 8080, FLAG: yes, V: 1.0, D: 2024-01-01, O: 017}}\n"
    ).configuration.hooks["worktree-post-create"].jobs[0]  # fmt: skip

    assert job.env == {"PORT": "8080", "FLAG": "yes", "V": "1.0", "D": "2024-01-01", "O": "017"}
    assert job.skip is not None
    assert job.skip.by_system[""][0].tests == ((RuleKind.ENV, "yes"),)


def test_every_key_is_read() -> None:
    text = """
min_version: 0.1
layout: contained
rc: .shellrc
source_dir: scripts
log: {retention: 1h30m, max_log_size: 1KB, max_total_size: 2MB, keep_last: 5, stale_running_after: 1d,
      sampling_every_nth: 7}
tasks: {dev: {jobs: [{run: serve}]}}
hooks:
  post-clone:
    parallel: false
    background: true
    fail_mode: ABORT
    skip: [merge, {env: CI, desc: in CI}]
    only: {linux: [{run: "true"}], macos: [{ref: "release/*"}]}
    exclude_tags: slow
    jobs:
      - name: a
        description: d
        run: {linux: [x, y], macos: z}
        root: sub
        env: {A: "{branch}"}
        background: false
        background_output: silent
        timeout: none
        interactive: true
        tags: [t]
        skip: true
        only: false
        arch: x86_64
        priority: "3"
        fail_text: oh
        log: {retention: 2d}
      - {name: b, script: s.sh, runner: bash, args: -x, needs: a}
"""
    loaded = read(text)
    configuration = loaded.configuration
    hook = configuration.hooks["post-clone"]
    first, second = hook.jobs

    assert (configuration.layout, configuration.rc, configuration.source_dir) == (
        "contained", ".shellrc", "scripts",
    )  # fmt: skip
    assert configuration.log.retention_s == 5400
    assert configuration.log.sampling_every_nth == 7
    assert set(configuration.tasks) == {"dev"}
    assert (hook.parallel, hook.background, hook.exclude_tags) == (False, True, ("slow",))
    assert first.run == {"linux": "x && y", "macos": "z"}
    assert (first.timeout_s, first.has_timeout, first.priority) == (None, True, 3)
    assert (second.script, second.runner, second.args, second.needs) == (
        "s.sh",
        "bash",
        "-x",
        ("a",),
    )


def test_an_overlay_replaces_fields_and_jobs_in_place() -> None:
    base = HEAD + "      - {name: a, run: x}\n      - {name: b, run: y}\n"
    over = "hooks:\n  worktree-post-create:\n    fail_mode: warn\n    jobs: [{name: a, run: z}, {name: c, run: w}]\n"

    hook = read(base, **{"daft.local.yml": over}).configuration.hooks["worktree-post-create"]

    assert [(job.name, job.run[""]) for job in hook.jobs] == [("a", "z"), ("b", "y"), ("c", "w")]
    assert hook.fail_mode is not None


def test_what_is_extended_overrides_and_circles_are_told() -> None:
    loaded = read("extends: more.yml\nlayout: nested\n", **{"more.yml": "layout: contained\n"})
    assert loaded.configuration.layout == "contained"
    with pytest.raises(BadConfiguration, match="circle"):
        _ = read(
            "extends: a.yml\n", **{"a.yml": "extends: b.yml\n", "b.yml": "extends: a.yml\n"}
        ).configuration


@pytest.mark.parametrize(
    ("where", "key"), [(where, key) for where, keys in shape.REFUSED.items() for key in keys]
)
def test_keys_whose_wish_would_silently_not_come_true_are_refused(where: str, key: str) -> None:
    job = "{name: a, run: x}" if where == "top" else f"{{name: a, run: x, {key}: 1}}"
    text = HEAD + f"      - {job}\n" + (f"{key}: 1\n" if where == "top" else "")

    (told,) = errors(text)
    assert f"'{key}' is not supported by this version" in told


names = st.sampled_from(["a", "b", "c", "d"])
jobs = st.lists(st.tuples(names, st.sampled_from(["x", "y"])), max_size=4, unique_by=lambda j: j[0])


def as_text(given_jobs: list[tuple[str, str]]) -> bytes:
    lines = [f"      - {{name: {name}, run: {run}}}\n" for name, run in given_jobs]
    return (HEAD + "".join(lines) if lines else "hooks: {worktree-post-create: {}}").encode()


@given(base=jobs, over=jobs)
def test_merging_keeps_the_order_of_the_base_and_the_word_of_the_overlay(
    base: list[tuple[str, str]], over: list[tuple[str, str]]
) -> None:
    first, second = parse(as_text(base), "a"), parse(as_text(over), "b")

    assert merge(first, first).to_plain() == first.to_plain()
    merged = merge(first, second).to_plain()
    listed = merged["hooks"]["worktree-post-create"].get("jobs", [])  # type: ignore[index,call-overload]
    order = [job["name"] for job in listed]
    assert order[: len(base)] == [name for name, _ in base]
    assert {job["name"]: job["run"] for job in listed} == {**dict(base), **dict(over)}


KEYS = [one.name for shape in (TOP, HOOK, JOB, GROUP, LOG) for one in shape]


@settings(max_examples=300)
@given(
    text=st.one_of(
        st.text(max_size=200),
        st.lists(
            st.sampled_from([*KEYS, "worktree-post-create", ":", " ", "\n",
                             "  ", "- ", "{", "}", "[", "]", ",", "'", "&a", "*a", "<<", "|", "1", "true"]),
            max_size=60,
        ).map("".join),
    )
)  # fmt: skip
def test_no_text_gets_anything_but_an_answer(text: str) -> None:
    try:
        loaded = load_from({"daft.yml": text.encode("utf-8", "replace")}.get)
        assert loaded is not None
        problems = loaded.decoded.problems
    except BadConfiguration as error:
        problems = error.problems
    assert all(problem.mark.line >= 1 for problem in problems)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    assert load(str(tmp_path)) is None
    (tmp_path / "daft.yml").symlink_to("nowhere")
    with pytest.raises(UnreadableConfiguration, match="link to nothing"):
        load(str(tmp_path))
    (tmp_path / "daft.yml").unlink()
    (tmp_path / "daft.yml").symlink_to("daft.yml")
    with pytest.raises(UnreadableConfiguration, match="symbolic links"):
        load(str(tmp_path))
    (tmp_path / "daft.yml").unlink()
    (tmp_path / "daft.yml").mkdir()
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "daft.yaml").write_text("layout: nested\n")
    found = load(str(tmp_path))
    assert found is not None
    assert found.files == (".config/daft.yaml",)


def test_the_digest_covers_what_would_run(repository: Any) -> None:
    text = HEAD + "      - {name: a, run: 'sh ./setup.sh'}\n      - {name: b, script: x.sh}\n"
    digests = {
        repository.configured(files).digest
        for files in (
            {"daft.yml": text},
            {"setup.sh": "one"},
            {"setup.sh": "two"},
            {".daft/x.sh": "one"},
            {"daft.yml": text.replace("name: b", "name: c")},
        )
    }

    assert len(digests) == 5
    assert (
        repository.configured({"daft.yml": "# a comment\n" + text}).digest
        == repository.configured({"daft.yml": text}).digest
    )


@pytest.mark.parametrize(
    ("job", "script"),
    [
        ("run: ./setup.sh; make", "setup.sh"),
        ("run: echo a#b && ./setup.sh", "setup.sh"),
        ("run: 'x=$(./setup.sh)'", "setup.sh"),
        ("run: bash -eu setup", "setup"),
        ("run: . ./setup", "setup"),
        ("run: 'cd tools && sh ./setup'", "tools/setup"),
        ("run: make -C tools -f ./more", "tools/more"),
        ("run: '\"./my setup.sh\"'", "my setup.sh"),
        ("run: $DAFT_WORKTREE_PATH/setup.sh", "setup.sh"),
        ("run: '{worktree_path}/setup.sh'", "setup.sh"),
        ("run: ./setup.sh, root: tools", "tools/setup.sh"),
        ("run: {macos: ./other, linux: ./setup.sh}", "setup.sh"),
        ("run: 'x', skip: [{run: ./setup.sh}]", "setup.sh"),
        ("run: 'oops \"./setup.sh'", "setup.sh"),
        ("script: x, runner: sh tools/wrap", "tools/wrap"),
    ],
)
def test_a_script_is_found_however_a_command_names_it(
    repository: Any, job: str, script: str
) -> None:
    before = repository.configured(
        {"daft.yml": f"{HEAD}      - {{name: a, {job}}}\n", script: "one"}
    )

    assert repository.configured({script: "two"}).digest != before.digest


def test_what_jobs_make_for_themselves_changes_nothing(repository: Any) -> None:
    before = repository.configured({"daft.yml": HEAD + "      - {name: a, run: .venv/bin/tool}\n"})

    repository.write({".venv/bin/tool": "made by a job"})

    after = load(str(repository.path))
    assert after is not None
    assert after.digest == before.digest
    assert repository.configured({".venv/bin/tool": "committed"}).digest != before.digest


def test_files_that_no_command_names_change_nothing(repository: Any) -> None:
    before = repository.configured({"daft.yml": HEAD + "      - {name: a, run: make all}\n"})

    assert repository.configured({"all": "x", "README": "y"}).digest == before.digest


def test_a_pipe_in_place_of_a_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "daft.yml")
    (tmp_path / ".daft.yml").write_text(HEAD + "      - {name: a, run: ./pipe}\n")
    os.mkfifo(tmp_path / "pipe")

    found = load(str(tmp_path))

    assert found is not None
    assert found.files == (".daft.yml",)


def test_the_configuration_of_a_commit_is_read_without_a_worktree(repository: Any) -> None:
    git_dir = str(repository.path / ".git")
    repository.commit({"README": "nothing configured"})
    repository.git("branch", "empty")
    repository.commit(
        {".config/daft.yml": "extends: more/a.yml\n", ".config/more/a.yml": "layout: nested\n"}
    )
    repository.git("branch", "configured")
    (repository.path / "linked.yml").write_text("layout: contained\n")
    (repository.path / "daft.yml").symlink_to("linked.yml")
    repository.commit({})
    repository.git("branch", "linked")

    assert load_from_git(git_dir, ["empty", "nowhere"]) is None
    configured = load_from_git(git_dir, ["empty", "configured"])
    assert configured is not None
    assert configured.files == (".config/daft.yml", ".config/more/a.yml")
    assert configured.configuration.layout == "nested"
    linked = load_from_git(git_dir, ["linked"])
    assert linked is not None
    assert linked.configuration.layout == "contained"


@pytest.mark.parametrize(
    ("target", "said"), [("nowhere", "link to nothing"), ("/etc/hosts", "out of the repository")]
)
def test_a_committed_link_that_cannot_be_followed_is_told(
    repository: Any, target: str, said: str
) -> None:
    (repository.path / "daft.yml").symlink_to(target)
    repository.commit({})

    with pytest.raises(UnreadableConfiguration, match=said):
        load_from_git(str(repository.path / ".git"), ["HEAD"])


def test_without_a_repository_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableConfiguration, match="git has ended"):
        load_from_git(str(tmp_path / "none"), ["HEAD"])


@pytest.mark.parametrize(
    ("text", "value"), [("30s", 30), ("1h30m", 5400), ("7d", 604800), ("500ms", 0.5)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["60", "5y", "-5m", "", "1h 30m", "1.5h", "9223372036854775808s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(text)


def test_sizes() -> None:
    assert [size_bytes(text) for text in ("500", "1KB", "10mb", "2GB", " 1 KiB ")] == [
        500, 1024, 10 * 1024**2, 2 * 1024**3, 1024,
    ]  # fmt: skip
    for text in ("abc", "10XB", "", "-1KB", "9223372036854775808"):
        with pytest.raises(ValueError, match="size"):
            size_bytes(text)
