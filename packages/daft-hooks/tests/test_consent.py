"""Consent is bound to content: what was not agreed to never runs, however it gets there."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daft_hooks import FireStatus, allow, deny, load
from daft_hooks.domain.scripts import mentioned_in
from daft_hooks.domain.trust import Verdict
from daft_hooks.gitfiles import Tracked
from daft_protocol.status import JobStatus

GOOD = "#!/bin/sh\necho good >> ran\n"
EVIL = "#!/bin/sh\necho evil >> ran\n"


def hook(*jobs: str, name: str = "worktree-post-create", more: str = "") -> str:
    lines = "".join(f"      - {job}\n" for job in jobs)
    return f"hooks:\n  {name}:\n{more}    jobs:\n{lines}"


def consented(stage: Any, files: dict[str, str]) -> None:
    """Commit files and consent to what they make run."""
    loaded = stage.repository.configured(files)
    allow(stage.registry, stage.common_dir, loaded, remote_url=None)


def link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


CALLS = [
    ("script", "{name: a, script: setup.sh, runner: sh}", ".daft/setup.sh"),
    ("command", "{name: a, run: sh setup.sh}", "setup.sh"),
    ("script of a script", "{name: a, run: sh outer.sh}", "inner.sh"),
    ("sourced by its own place", "{name: a, run: sh lib/outer.sh}", "lib/inner.sh"),
    ("rc", "{name: a, run: 'true'}", "rc.sh"),
    ("condition", "{name: a, run: 'true', skip: [{run: 'sh setup.sh'}]}", "setup.sh"),
    ("environment", "{name: a, run: 'sh $WHERE/setup.sh', env: {WHERE: tools/deep}}",
     "tools/deep/setup.sh"),
    ("environment, whole", "{name: a, run: 'sh \"$IT\"', env: {IT: tools/setup.sh}}",
     "tools/setup.sh"),
    ("assigned", "{name: a, run: 'D=tools; sh ${D}/setup.sh'}", "tools/setup.sh"),
    ("computed directory", "{name: a, run: 'sh \"$(echo tools)/setup.sh\"'}", "tools/setup.sh"),
    ("computed name", "{name: a, run: 'sh $(ls tools/*.sh)'}", "tools/setup.sh"),
    ("unknown variable", "{name: a, run: 'read d < where; sh $d/setup.sh'}", "tools/setup.sh"),
    ("unknown program", "{name: a, run: 'read x < what; sh $x'}", "tools/setup.sh"),
    ("glob", "{name: a, run: 'for f in tools/*.sh; do sh $f; done'}", "tools/setup.sh"),
    ("changed directory", "{name: a, run: 'cd tools && sh setup.sh'}", "tools/setup.sh"),
    ("own name", "{name: a, run: 'sh ../repository/setup.sh'}", "setup.sh"),
    ("module", "{name: a, run: 'python3 -m tools.setup'}", "tools/setup.py"),
    ("path of programs", "{name: a, run: 'chmod +x tools/setup.sh; setup.sh', env: {PATH: 'tools:/usr/bin:/bin'}}",
     "tools/setup.sh"),
    ("path set in the command", "{name: a, run: 'chmod +x tools/deep/it; PATH=$PWD/tools/deep:$PATH it'}",
     "tools/deep/it"),
    ("directory behind an option", "{name: a, run: 'cd -- tools && sh setup'}", "tools/setup"),
    ("root", "{name: a, run: 'sh setup.sh', root: tools}", "tools/setup.sh"),
    ("source worktree", "{name: a, run: 'sh $DAFT_SOURCE_WORKTREE/setup.sh'}", "setup.sh"),
]  # fmt: skip


@pytest.mark.parametrize(("job", "script"), [case[1:] for case in CALLS], ids=[c[0] for c in CALLS])
def test_a_script_that_was_tampered_with_never_runs(stage: Any, job: str, script: str) -> None:
    evil = "open('ran', 'a').write('evil')\n" if script.endswith(".py") else EVIL
    files = {
        "daft.yml": ("rc: rc.sh\n" if script == "rc.sh" else "") + hook(job),
        "outer.sh": ". ./inner.sh\n",
        "lib/outer.sh": '. "$(dirname "$0")/inner.sh"\n',
        "where": "tools\n",
        "what": "tools/setup.sh\n",
        script: evil.replace("evil", "good"),
    }
    consented(stage, files)
    assert stage.fire().ok

    stage.repository.write({script: evil})
    outcome = stage.fire()

    assert outcome.status is FireStatus.SKIPPED
    assert outcome.consent is not None
    assert outcome.consent.verdict is Verdict.CONTENT_CHANGED
    assert set(stage.ran()) <= {"good", "goodgood"}


def test_an_included_file_or_an_overlay_that_changed_lapses_consent(stage: Any) -> None:
    files = {
        "daft.yml": "extends: [more.yml]\n" + hook("{name: a, run: 'echo good >> ran'}"),
        "more.yml": hook("{name: b, run: 'echo good >> ran'}"),
    }
    consented(stage, files)
    assert stage.fire().ok

    for name, text in (
        ("more.yml", hook("{name: b, run: 'echo evil >> ran'}")),
        ("daft.local.yml", hook("{name: c, run: 'echo evil >> ran'}")),
    ):
        stage.repository.write({name: text})
        assert stage.fire().consent is not None
        stage.repository.git("checkout", "-q", "--", ".")
        (stage.repository.path / "daft.local.yml").unlink(missing_ok=True)

    assert stage.ran() == ["good", "good"]


def test_a_link_turned_to_another_file_never_runs(stage: Any) -> None:
    root = stage.repository.path
    stage.repository.write({"one/setup.sh": GOOD, "two/setup.sh": EVIL})
    link(root / "setup.sh", "one/setup.sh")
    link(root / "tools", "one")
    consented(
        stage,
        {"daft.yml": hook("{name: a, run: sh setup.sh}", "{name: b, run: sh tools/setup.sh}")},
    )
    assert stage.fire().ok

    for name, target in (("setup.sh", "two/setup.sh"), ("tools", "two")):
        link(root / name, target)
        assert stage.fire().consent is not None
        stage.repository.git("checkout", "-q", "--", ".")

    assert stage.ran() == ["good", "good"]


def test_a_link_out_of_the_repository_is_followed(stage: Any, tmp_path: Path) -> None:
    (tmp_path / "outside.sh").write_text(GOOD)
    link(stage.repository.path / "setup.sh", "../outside.sh")
    consented(stage, {"daft.yml": hook("{name: a, run: sh setup.sh}")})
    assert stage.fire().ok

    (tmp_path / "outside.sh").write_text(EVIL)

    assert stage.fire().consent is not None
    assert stage.ran() == ["good"]


def test_a_file_renamed_to_the_name_of_another_never_runs(stage: Any) -> None:
    consented(stage, {"daft.yml": hook("{name: a, run: 'sh a.sh'}"), "a.sh": GOOD, "b.sh": EVIL})
    assert stage.fire().ok

    os.replace(stage.repository.path / "b.sh", stage.repository.path / "a.sh")

    assert stage.fire().consent is not None
    assert stage.ran() == ["good"]


def test_a_file_that_comes_where_there_was_none_never_runs(stage: Any) -> None:
    consented(stage, {"daft.yml": hook("{name: a, run: '[ ! -e x.sh ] || sh x.sh'}")})
    assert stage.fire().ok

    stage.repository.commit({"x.sh": EVIL})

    assert stage.fire().consent is not None
    assert stage.ran() == []


def test_a_script_of_the_worktree_beside_it_counts(stage: Any, tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    consented(stage, {"daft.yml": hook("{name: a, run: sh ../beside/setup.sh}"), "setup.sh": GOOD})
    stage.repository.git("worktree", "add", "-q", "--detach", str(beside))
    facts = {"source_worktree": str(beside)}
    loaded = load(str(stage.repository.path))
    assert loaded is not None
    seen = loaded.seen_in(str(stage.repository.path), (str(beside),))
    allow(stage.registry, stage.common_dir, seen, remote_url=None)
    assert stage.fire(**facts).status is FireStatus.RAN

    (beside / "setup.sh").write_text(EVIL)

    assert stage.fire(**facts).consent is not None
    assert stage.ran() == ["good"]


def test_a_submodule_that_moved_on_never_runs(stage: Any, tmp_path: Path) -> None:
    module = stage.repository.path / "module"
    module.mkdir()
    for words in (["init", "-q"], ["add", "-A"]):
        (module / "setup.sh").write_text(GOOD)
        subprocess.run(["git", *words], cwd=module, check=True)
    subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "x"],
        cwd=module,
        check=True,
    )
    consented(stage, {"daft.yml": hook("{name: a, run: sh module/setup.sh}")})
    assert stage.fire().ok

    (module / "setup.sh").write_text(EVIL)

    assert stage.fire().consent is not None
    assert stage.ran() == ["good"]


@pytest.mark.parametrize("background", ["", ", background: true"])
def test_what_changes_between_the_look_and_the_start_never_runs(
    stage: Any, background: str
) -> None:
    """The first job stands for whatever happens to the file once consent was looked at."""
    swap = "echo 'echo evil >> ran' > setup.sh"
    consented(
        stage,
        {
            "daft.yml": hook(
                f'{{name: swap, run: "{swap}"}}',
                f"{{name: b, run: sh setup.sh, needs: [swap]{background}}}",
                more="    fail_mode: warn\n",
            ),
            "setup.sh": GOOD,
        },
    )

    outcome = stage.fire()

    assert stage.ran() == []
    (job,) = [
        job for job in stage.engine.coordinator.jobs(outcome.invocation_id) if job.name == "b"
    ]
    assert job.status is JobStatus.FAILED
    assert "setup.sh has changed since the hook was allowed to run" in job.end_detail
    if not background:
        assert outcome.job == "b"
        assert "has changed" in outcome.reason


def test_a_script_swapped_for_a_link_or_removed_before_the_start_never_runs(stage: Any) -> None:
    consented(
        stage,
        {
            "daft.yml": hook(
                "{name: swap, run: 'rm one.sh; ln -sf evil.sh two.sh'}",
                "{name: b, run: 'sh one.sh', needs: [swap]}",
            )
            + "      - {name: c, run: 'sh two.sh', needs: [swap]}\n",
            "one.sh": GOOD,
            "two.sh": GOOD,
            "evil.sh": EVIL,
        },
    )

    outcome = stage.fire()

    assert outcome.status is FireStatus.FAILED
    assert stage.ran() == []


@pytest.mark.parametrize("what", ["condition", "list of files"])
def test_what_changes_before_a_later_condition_never_runs(stage: Any, what: str) -> None:
    swap = "skip: [{run: 'cp evil.sh setup.sh; false'}]"
    second = "skip: [{run: sh setup.sh}]"
    if what == "list of files":
        second = "glob: ['*'], files: sh setup.sh"
    consented(
        stage,
        {
            "daft.yml": hook(
                f"{{name: a, run: 'true', {swap}}}", f"{{name: b, run: 'true', {second}}}"
            ),
            "setup.sh": GOOD,
            "evil.sh": EVIL,
        },
    )

    outcome = stage.fire()

    assert outcome.status is FireStatus.FAILED
    assert "`sh setup.sh` was not run" in outcome.reason
    assert stage.ran() == []


WORDS = st.sampled_from(["tools", "a b", "x", "deep", "é"])
WAYS = [
    "sh {quoted}",
    "FOO=1 bash -eu {quoted} arg",
    "cd {directory} && sh ./{name}",
    "pushd {directory}; . ./{name}",
    'D={directory}; sh "$D"/{name}',
    'D={directory} && E=${{D}}; sh "${{E}}"/{name}',
    'sh "$DAFT_WORKTREE_PATH"/{quoted}',
    "if true; then\n  sh {quoted}\nfi",
    "x=$(sh {quoted}); echo $x",
    "x=`sh {quoted}`",
    "true || sh {quoted} || true",
    "env A=b sh {quoted}",
    "find . | xargs sh {quoted}",
    'read d; sh "$d/"{name}',
    'sh "$(cat where)/"{name}',
    "f() {{ sh {quoted}; }}; f",
    "nohup sh {quoted} &",
    "make --file={quoted}",
    "sh < {quoted}",
    "eval 'sh {directory}/{name}'",
]


@settings(max_examples=200, deadline=None)
@given(
    directories=st.lists(WORDS, min_size=1, max_size=3),
    name=st.sampled_from(["run", "run.sh", "a b.sh"]),
    way=st.sampled_from(WAYS),
)
def test_a_tracked_file_is_found_however_the_shell_is_told_to_run_it(
    directories: list[str], name: str, way: str
) -> None:
    path = "/".join((*directories, name))
    if way.startswith("eval") and " " in path:
        return  # quoted twice: the shell itself would not find it
    command = way.format(
        quoted=shlex.quote(path),
        directory=shlex.quote("/".join(directories)),
        name=shlex.quote(name),
    )

    found = mentioned_in(command)

    fits = Tracked(modes={path: "100755"})
    assert path in found.paths or any(fits.matching(one, ()) for one in found.patterns), command


@settings(max_examples=300, deadline=2000)
@given(st.text(st.sampled_from("ab$(){}`'\"\\;&|=*?[]/.\n cdsh-"), max_size=400))
def test_no_text_is_too_much_to_read(text: str) -> None:
    found = mentioned_in(text)

    assert not any("\0" in name for name in found.paths)


def test_a_job_may_change_what_other_jobs_run_when_no_consent_is_asked_for(stage: Any) -> None:
    from daft_hooks import fire, load

    stage.repository.commit(
        {
            "daft.yml": hook(
                "{name: make, run: \"echo 'echo made >> ran' > setup.sh\"}",
                "{name: b, run: sh setup.sh, needs: [make]}",
            ),
            "setup.sh": GOOD,
        }
    )

    outcome = fire(stage.event(), load(str(stage.repository.path)), stage.firing(None))

    assert outcome.ok
    assert stage.ran() == ["made"]


def test_what_is_not_run_may_change(stage: Any) -> None:
    files = {
        "daft.yml": hook(
            '{name: a, run: \'cat docs/$NAME; echo "$HOME/$OTHER" > /dev/null; cp -n x.txt "$T" || true\'}'
        ),
        "docs/a.md": "one",
        "tool.sh": GOOD,
        "x.txt": "x",
    }
    consented(stage, files)

    stage.repository.commit({"docs/a.md": "two", "tool.sh": EVIL, "src/new.py": "x"})

    assert stage.fire().consent is None


def test_denial_is_final_whatever_the_content(stage: Any) -> None:
    consented(stage, {"daft.yml": hook("{name: a, run: 'echo good >> ran'}")})
    deny(stage.registry, stage.common_dir)

    outcome = stage.fire()

    assert outcome.consent is not None
    assert outcome.consent.verdict is Verdict.DENIED
    assert stage.ran() == []


def test_a_long_text_is_looked_at_in_time_and_counts_everything(stage: Any) -> None:
    text = "${" * 20_000 + "cd x; " * 5_000
    consented(stage, {"daft.yml": hook(f"{{name: a, run: '{text}'}}"), "tools/setup.sh": GOOD})

    stage.repository.write({"tools/setup.sh": EVIL})

    assert stage.fire().consent is not None
