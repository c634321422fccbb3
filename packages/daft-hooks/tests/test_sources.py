"""Which files make up a configuration, and who overrides whom."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daft_hooks import load_from
from daft_hooks.discovery import Loaded
from daft_hooks.document import parse
from daft_hooks.domain.config import MergeConfig
from daft_hooks.domain.merging import merge
from daft_hooks.domain.shape import HOOK_NAMES
from daft_hooks.errors import BadConfiguration


def read(**files: str) -> Loaded:
    known = {name: text.encode() for name, text in files.items()}
    loaded = load_from(known.get)
    assert loaded is not None
    return loaded


def layouts(**files: str) -> str | None:
    return read(**files).configuration.layout


MAIN = ["daft.yml", "daft.yaml", ".daft.yml", ".daft.yaml", ".config/daft.yml", ".config/daft.yaml"]


@pytest.mark.parametrize("first", range(len(MAIN)))
def test_the_first_main_file_counts(first: int) -> None:
    loaded = read(**{name: f"layout: '{name}'" for name in MAIN[first:]})

    assert loaded.configuration.layout == MAIN[first]
    assert loaded.files == (MAIN[first],)


def test_what_comes_later_overrides() -> None:
    files = {
        "daft.yml": "layout: main\nextends: [a.yml, b.yml]\n",
        "a.yml": "layout: a\n",
        "b.yml": "layout: b\nextends: c.yml\n",
        "c.yml": "layout: c\n",
        "daft.local.yml": "layout: local\n",
    }
    kept = []
    for gone in ("daft.local.yml", "b.yml", "a.yml"):
        kept.append(layouts(**files))
        del files[gone]
        files["daft.yml"] = f"layout: main\nextends: [{', '.join(n for n in ('a.yml', 'b.yml') if n in files)}]\n"  # fmt: skip
    kept.append(layouts(**files))

    assert kept == ["local", "b", "a", "main"]


@pytest.mark.parametrize("hook", HOOK_NAMES)
def test_a_file_of_its_own_is_merged_into_each_hook(hook: str) -> None:
    loaded = read(
        **{
            "daft.yml": f"hooks: {{{hook}: {{background: true, jobs: [{{name: a, run: x}}]}}}}\n",
            f"{hook}.yml": "jobs: [{name: a, run: y}, {name: b, run: z}]\n",
        }
    )

    found = loaded.configuration.hooks[hook]
    assert [(job.name, job.run[""]) for job in found.jobs] == [("a", "y"), ("b", "z")]
    assert found.background
    assert found.jobs[0].mark.file == f"{hook}.yml"


def test_a_file_of_a_hook_stands_beside_a_main_file_that_says_nothing_of_it() -> None:
    loaded = read(**{"daft.yml": "", "post-clone.yaml": "jobs: [{run: x}]\n"})
    hidden = read(
        **{
            ".config/daft.yml": "",
            ".config/daft/post-clone.yml": "jobs: [{run: x}]\n",
            "worktree-post-create.yml": "jobs: [{run: x}]\n",
        }
    )

    assert list(loaded.configuration.hooks) == ["post-clone"]
    assert list(hidden.configuration.hooks) == ["post-clone"]
    assert load_from({"post-clone.yml": b"jobs: []"}.get) is None, "it needs a main file"


def test_the_overlay_goes_last_under_its_new_and_its_old_name() -> None:
    old = read(**{"daft.yml": "layout: a", "daft-local.yml": "layout: b"})
    both = read(
        **{"daft.yml": "layout: a", "daft-local.yml": "layout: b", "daft.local.yml": "layout: c"}
    )

    assert old.configuration.layout == "b"
    (problem,) = old.decoded.problems
    assert "rename the file to daft.local.yml" in problem.message
    assert both.configuration.layout == "c"
    assert both.decoded.problems == ()
    assert layouts(**{".daft.yaml": "layout: a", ".daft.local.yaml": "layout: d"}) == "d"


def test_a_missing_file_may_be_allowed() -> None:
    with pytest.raises(
        BadConfiguration, match=r"'x\.yml' does not exist \(extended by daft\.yml\)"
    ):
        _ = read(**{"daft.yml": "extends: x.yml"}).configuration
    assert layouts(**{"daft.yml": "layout: a\nextends: [{path: x.yml, optional: true}]"}) == "a"
    with pytest.raises(BadConfiguration, match="expected true or false"):
        _ = read(**{"daft.yml": "extends: [{path: x.yml, optional: perhaps}]"}).configuration
    with pytest.raises(BadConfiguration, match="expected a path"):
        _ = read(**{"daft.yml": "extends: [{file: x.yml}]"}).configuration


def test_an_overlay_extends_files_too() -> None:
    files = {"daft.yml": "layout: main\nextends: a.yml\n", "a.yml": "layout: a\n"}
    files |= {"daft.local.yml": "extends: b.yml\n", "b.yml": "layout: b\n"}

    assert layouts(**files) == "b"
    assert set(read(**files).files) == set(files)
    files["daft.local.yml"] = "extends: b.yml\nlayout: local\n"
    assert layouts(**files) == "local"
    del files["b.yml"]
    with pytest.raises(BadConfiguration, match=r"extended by daft\.local\.yml"):
        _ = read(**files).configuration


def test_the_same_file_twice_is_no_circle() -> None:
    assert layouts(**{"daft.yml": "extends: [a.yml, a.yml]", "a.yml": "layout: a"}) == "a"


def test_a_chain_of_files_ends() -> None:
    files = {f"{n}.yml": f"extends: {n + 1}.yml" for n in range(30)}

    with pytest.raises(BadConfiguration, match="more than 16 files away"):
        _ = read(**{"daft.yml": "extends: 0.yml", **files}).configuration


def test_files_that_extend_each_other_again_and_again_are_read_a_hundred_times() -> None:
    files = {f"{n}.yml": f"extends: [{n + 1}.yml, {n + 1}.yml]\n" for n in range(14)}
    asked: list[str] = []

    def look(name: str) -> bytes | None:
        asked.append(name)
        known = {"daft.yml": "extends: 0.yml", "14.yml": "", **files}
        return known[name].encode() if name in known else None

    loaded = load_from(look)

    assert loaded is not None
    told = [one.message for one in loaded.decoded.problems]
    assert told == ["more than 100 files are extended, some of them often"]
    assert len(asked) < 100, "each file is read once, however often it counts"


def test_every_file_that_is_missing_is_told_with_its_line() -> None:
    loaded = read(**{"daft.yml": "extends:\n  - x.yml\n  - y.yml\nhoks: {}\n"})

    told = [(one.mark.line, one.excerpt) for one in loaded.decoded.problems]
    assert told == [(2, "  - x.yml"), (3, "  - y.yml"), (4, "hoks: {}")]


def test_fields_of_log_and_env_merge_one_by_one() -> None:
    loaded = read(
        **{
            "daft.yml": "log: {retention: 1d, keep_last: 4}\nenv: {salt: a, ports: [A, B]}\n",
            "daft.local.yml": "log: {retention: 2d}\nenv: {ports: [C]}\n",
        }
    )

    assert (loaded.configuration.log.retention_s, loaded.configuration.log.keep_last) == (172800, 4)
    env = loaded.configuration.env
    assert env is not None
    assert (env.salt, dict(env.offsets)) == ("a", {"C": 0})


def test_no_overlay_relaxes_what_merges_keep_to() -> None:
    loaded = read(
        **{
            "daft.yml": "merge: {ff: only}\n",
            "daft.local.yml": "merge: {ff: ~, source_worktree: clean}\n",
        }
    )

    assert loaded.configuration.merge == MergeConfig(ff_only=True, clean_source=True)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("{ff: any}", "'any' is not only"),
        ("{ff: Only}", "'Only' is not only"),
        ("{ff: false}", "'false' is not only"),
        ("{source_worktree: dirty}", "'dirty' is not clean"),
        ("{fff: only}", "unknown field 'fff'; did you mean 'ff'?"),
        ("only", "expected a map with `ff` or `source_worktree`"),
    ],
)
def test_what_merges_keep_to_is_said_exactly(said: str, answer: str) -> None:
    with pytest.raises(BadConfiguration, match=re.escape(answer)):
        _ = read(**{"daft.yml": f"merge: {said}\n"}).configuration


def test_what_is_nothing_overrides_nothing() -> None:
    assert layouts(**{"daft.yml": "layout: a", "daft.local.yml": "layout:\nhooks: ~\n"}) == "a"


def test_an_overlay_takes_jobs_and_hooks_away() -> None:
    loaded = read(
        **{
            "daft.yml": "hooks: {post-clone: {jobs: [{name: a, run: x}, {name: b, run: x, needs: [a]}]},"
            " pre-merge: {jobs: [{run: x}]}}",
            "daft.local.yml": "hooks: {post-clone: {jobs: [{name: a, disabled: true}]}, pre-merge: {disabled: true}}",
        }
    )

    (hook,) = loaded.configuration.hooks.values()
    assert [(job.name, job.needs) for job in hook.jobs] == [("b", ())]
    assert loaded.decoded.problems == ()


# --- what holds for every pair of files -----------------------------------------------------------

keys = st.sampled_from(["layout", "rc", "source_dir"])
job_lists = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")), max_size=4, unique_by=lambda j: j[0]
)
files = st.fixed_dictionaries(
    {},
    optional={
        "layout": st.sampled_from("xyz"),
        "rc": st.sampled_from("xyz"),
        "log": st.dictionaries(st.sampled_from(["retention", "keep_last"]), st.sampled_from("12")),
        "hooks": st.dictionaries(
            st.sampled_from(["post-clone", "pre-merge"]),
            st.fixed_dictionaries(
                {}, optional={"jobs": job_lists, "background": st.sampled_from(["true", "false"])}
            ),
        ),
    },
)


def text_of(file: dict[str, Any]) -> str:
    parts = []
    for key, value in file.items():
        if key == "hooks":
            hooks = ", ".join(f"{name}: {_hook(entry)}" for name, entry in value.items())
            parts.append(f"hooks: {{{hooks}}}")
        elif key == "log":
            parts.append(f"log: {{{', '.join(f'{k}: {v}' for k, v in value.items())}}}")
        else:
            parts.append(f"{key}: {value}")
    return f"{{{', '.join(parts)}}}"


def _hook(entry: dict[str, Any]) -> str:
    parts = [f"background: {entry['background']}"] if "background" in entry else []
    if "jobs" in entry:
        jobs = ", ".join(f"{{name: {name}, run: {run}}}" for name, run in entry["jobs"])
        parts.append(f"jobs: [{jobs}]")
    return f"{{{', '.join(parts)}}}"


@given(a=files, b=files, c=files)
def test_merging_named_jobs_is_associative_and_idempotent(a: Any, b: Any, c: Any) -> None:
    one, two, three = (parse(text_of(file).encode(), "f") for file in (a, b, c))

    left = merge(merge(one, two), three).to_plain()
    right = merge(one, merge(two, three)).to_plain()

    assert left == right
    assert merge(one, one).to_plain() == one.to_plain()


@given(a=files, b=files)
def test_the_overlay_has_the_last_word_and_the_base_the_order(a: Any, b: Any) -> None:
    base, over = parse(text_of(a).encode(), "f"), parse(text_of(b).encode(), "f")
    merged: Any = merge(base, over).to_plain()

    for key, value in b.items():
        if isinstance(value, str):
            assert merged[key] == value
    assert merged.get("log", {}) == _plain({**a.get("log", {}), **b.get("log", {})})
    for name, entry in b.get("hooks", {}).items():
        jobs = {job["name"]: job["run"] for job in merged["hooks"][name].get("jobs", [])}
        assert jobs.items() >= dict(entry.get("jobs", [])).items()
        if "background" in entry:
            assert merged["hooks"][name]["background"] is (entry["background"] == "true")
    for name, entry in a.get("hooks", {}).items():
        order = [job["name"] for job in merged["hooks"][name].get("jobs", [])]
        assert order[: len(entry.get("jobs", []))] == [job for job, _ in entry.get("jobs", [])]


def _plain(numbers: dict[str, str]) -> dict[str, int]:
    return {key: int(value) for key, value in numbers.items()}
