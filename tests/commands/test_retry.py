"""`daft jobs retry`, as a user types it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
hooks:
  worktree-post-create:
    jobs:
      - {name: ok, run: "echo x >> $OUT.ok"}
      - {name: a, run: "test -e $OUT.now || exit 3", needs: [ok]}
      - {name: b, run: "echo x >> $OUT.b", needs: [a]}
      - {name: c, run: "echo x >> $OUT.c", background: true, needs: [a]}
"""


def listed(home: Any, tree: Path, *words: str) -> dict[str, Any]:
    return dict(home.jobs(tree, "--last", *words))


@pytest.fixture
def failed(home: Any) -> tuple[Any, Path, str]:
    """A worktree whose set-up has failed at its second job."""
    project = home.repository(CONFIG)
    out = str(home.root / "out")
    done = home.daft("start", "feat", cwd=project, OUT=out)
    assert done.returncode == 1
    return home, home.root / "project.feat", out


def test_a_retry_repeats_what_failed_and_what_waited_for_it(
    failed: tuple[Any, Path, str],
) -> None:
    home, tree, out = failed

    again = home.daft("jobs", "retry", cwd=tree, OUT=out)
    kept = home.daft("jobs", "retry", "--no-fail", cwd=tree, OUT=out)
    Path(f"{out}.now").touch()
    good = home.daft("hooks", "jobs", "retry", "--wait", cwd=tree, OUT=out)
    nothing = home.daft("jobs", "retry", cwd=tree, OUT=out)

    assert (again.returncode, kept.returncode) == (1, 0), again.stderr
    assert "Retried 3 job(s) in invocation" in again.stdout
    assert "(1 failed, 2 skipped). Check status: daft hooks jobs" in again.stdout
    assert good.returncode == 0, good.stderr
    assert "(2 foreground done, 1 background done)" in good.stdout
    assert (nothing.returncode, nothing.stdout) == (0, "Nothing to retry — all jobs succeeded.\n")
    assert Path(f"{out}.ok").read_text() == "x\n"
    rows = listed(home, tree)
    assert {name: row["status"] for name, row in rows.items()} == dict.fromkeys("abc", "completed")
    assert (rows["a"]["background"], rows["c"]["background"]) == (False, True)
    assert rows["a"]["trigger_command"] == "hooks jobs retry"


def test_targets(failed: tuple[Any, Path, str]) -> None:
    home, tree, out = failed
    invocation = listed(home, tree)["a"]["invocation_id"]

    def retried(*words: str, cwd: Path = tree) -> tuple[int, str]:
        done = home.daft("jobs", "retry", *words, cwd=cwd, OUT=out)
        lines = (done.stderr if done.returncode in (1, 2) else done.stdout).splitlines()
        return done.returncode, lines[-1] if done.returncode != 1 else "\n".join(lines)

    Path(f"{out}.now").touch()
    assert retried("b") == (0, retried_line(home, tree, "1 foreground done"))
    assert retried("--job", "c", "--inv", invocation[:6], "--wait")[0] == 0
    assert retried("feat:b", cwd=home.root / "project")[0] == 0
    assert retried("--worktree", "feat", "worktree-post-create", cwd=home.root / "project")[0] == 0
    assert retried(invocation[:8], "--wait")[0] == 0
    assert listed(home, tree)["a"]["trigger_command"] == f"hooks jobs retry {invocation[:8]}"

    assert "No failed job named 'zz'" in retried("zz")[1]
    assert "No failed job named 'ok'" in retried("ok")[1]
    assert "No invocations of pre-merge found for worktree 'feat'" in retried("pre-merge")[1]
    assert "No invocations found for worktree 'main'" in retried("--worktree", "main")[1]
    assert "--worktree says 'main'" in retried("feat:b", "--worktree", "main")[1]
    assert retried("a", "--job", "b")[0] == 2
    assert retried("--current", "--recorded")[0] == 2


def retried_line(home: Any, tree: Path, parts: str) -> str:
    short = listed(home, tree)["b"]["invocation_short"]
    return f"Retried 1 job(s) in invocation {short} ({parts}). Check status: daft hooks jobs"


def test_what_was_shown_last_is_retried_by_the_same_sign(failed: tuple[Any, Path, str]) -> None:
    home, tree, out = failed
    early = home.daft("jobs", "retry", "-", cwd=tree, OUT=out)
    invocation = listed(home, tree)["a"]["invocation_id"]
    home.daft("jobs", "logs", "a", cwd=tree)

    done = home.daft("jobs", "retry", "-", cwd=tree, OUT=out)
    both = home.daft("jobs", "retry", "-", "--hook", "x", cwd=tree, OUT=out)
    logs = home.daft("jobs", "logs", "-", "--job", "b", cwd=tree)

    assert "nothing that still exists" in early.stderr
    assert "(1 failed)" in done.stdout
    assert listed(home, tree)["a"]["trigger_command"] == f"hooks jobs retry {invocation[:8]}:a"
    for wrong in (both, logs):
        assert (wrong.returncode, "one job or run" in wrong.stderr) == (2, True)


def test_a_deleted_worktree_needs_another_directory(failed: tuple[Any, Path, str]) -> None:
    home, tree, out = failed
    project = home.root / "project"
    assert home.daft("remove", "-f", "feat", cwd=project).returncode == 0
    assert not tree.exists()

    gone = home.daft("jobs", "retry", "--worktree", "feat", cwd=project, OUT=out)
    Path(f"{out}.now").touch()
    elsewhere = home.daft(
        "jobs", "retry", "--worktree", "feat", "--cwd", ".", "--wait", cwd=project, OUT=out
    )

    assert gone.returncode == 1
    assert "no longer exists" in gone.stderr
    assert "Use --cwd" in gone.stderr
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert {row["worktree"] for row in listed(home, project, "--worktree", "feat").values()} == {
        "feat"
    }


def test_a_retry_asks_the_same_consent_as_the_fire(failed: tuple[Any, Path, str]) -> None:
    home, tree, out = failed
    (tree / "daft.yml").write_text(CONFIG.replace("exit 3", "exit 4"))

    lapsed = home.daft("jobs", "retry", cwd=tree, OUT=out)
    assert home.daft("hooks", "trust", "-f", cwd=tree).returncode == 0
    trusted = home.daft("jobs", "retry", cwd=tree, OUT=out)
    current = home.daft("jobs", "retry", "--current", cwd=tree, OUT=out)
    assert home.daft("hooks", "deny", "-f", cwd=tree).returncode == 0
    denied = home.daft("jobs", "retry", cwd=tree, OUT=out)

    assert lapsed.returncode == 1
    assert "not retried: what the hooks would run has changed" in lapsed.stderr
    assert "daft hooks trust" in lapsed.stderr
    assert "exit code 3" in trusted.stderr, "what was recorded"
    assert "exit code 4" in current.stderr, "what daft.yml says today"
    assert "not retried: the repository is denied" in denied.stderr


def test_who_wants_to_be_asked_is_asked_for_a_retry(failed: tuple[Any, Path, str]) -> None:
    home, tree, out = failed
    assert home.daft("hooks", "prompt", "-f", cwd=tree).returncode == 0

    nobody = home.daft("jobs", "retry", cwd=tree, OUT=out)
    code, shown = home.on_terminal("jobs", "retry", cwd=tree, OUT=out, typed=(("good:", "n\n"),))
    again, more = home.on_terminal("jobs", "retry", cwd=tree, OUT=out, typed=(("good:", "y\n"),))

    assert "not retried: consent is to be asked for each time" in nobody.stderr
    assert (code, "not retried" in shown) == (1, True)
    assert (again, "Retried 3 job(s)" in more) == (1, True)


def test_a_script_that_was_repaired_runs_once_it_is_consented_to(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {jobs: [{name: a, run: ./setup.sh}]}}\n", trust=False
    )
    script = project / "setup.sh"
    script.write_text("#!/bin/sh\nexit 3\n")
    script.chmod(0o755)
    home.git("add", "-A", cwd=project)
    home.git("commit", "-qm", "script", cwd=project)
    home.daft("hooks", "trust", "-f", cwd=project)
    home.daft("start", "feat", cwd=project)
    tree = home.root / "project.feat"

    (tree / "setup.sh").write_text("#!/bin/sh\nexit 0\n")
    lapsed = home.daft("jobs", "retry", cwd=tree)
    home.daft("hooks", "trust", "-f", cwd=tree)
    done = home.daft("jobs", "retry", cwd=tree)

    assert "not retried" in lapsed.stderr
    assert done.returncode == 0, done.stderr


def test_what_was_run_by_hand_is_retried_by_hand_unless_it_was_refused(home: Any) -> None:
    project = home.repository(CONFIG, trust=False)
    out = str(home.root / "out")
    home.daft("hooks", "run", "worktree-post-create", cwd=project, OUT=out)

    first = home.daft("jobs", "retry", cwd=project, OUT=out)
    second = home.daft("jobs", "retry", cwd=project, OUT=out)
    home.daft("hooks", "deny", "-f", cwd=project)
    denied = home.daft("jobs", "retry", cwd=project, OUT=out)

    for done in (first, second):
        assert "retried as it was run by hand before" in done.stderr
        assert "exit code 3" in done.stderr
    assert "not retried" in denied.stderr


def test_secrets_come_from_daft_yml_or_from_the_caller(home: Any) -> None:
    config = """\
hooks:
  worktree-post-create:
    jobs:
      - name: a
        run: 'echo "$API_TOKEN" >> $OUT; exit 1'
        env: {API_TOKEN: "in the file"}
"""
    project = home.repository(config)
    out = home.root / "out"
    home.daft("hooks", "run", "worktree-post-create", cwd=project, OUT=str(out))

    home.daft("jobs", "retry", cwd=project, OUT=str(out), API_TOKEN="another's")
    (project / "daft.yml").write_text(config.replace('env: {API_TOKEN: "in the file"}', ""))
    home.daft("hooks", "trust", "-f", cwd=project)
    missing = home.daft("jobs", "retry", cwd=project, OUT=str(out))
    home.daft("jobs", "retry", cwd=project, OUT=str(out), API_TOKEN="the caller's")

    assert out.read_text().splitlines() == ["in the file", "in the file", "the caller's"]
    assert missing.returncode == 1
    assert "job 'a' needs API_TOKEN" in missing.stderr


def test_a_retry_that_was_killed_is_in_nobodys_way(home: Any, until: Any) -> None:
    project = home.repository(
        "hooks:\n  worktree-post-create:\n    jobs:\n"
        "      - {name: a, run: 'touch $OUT.up; while test -e $OUT.slow; do sleep 0.05; done; exit 1'}\n"
    )
    out = str(home.root / "out")
    home.daft("start", "feat", cwd=project, OUT=out)
    tree = home.root / "project.feat"
    Path(f"{out}.up").unlink()
    Path(f"{out}.slow").touch()
    home.environment["OUT"] = out
    killed = home.start_daft("jobs", "retry", cwd=tree)
    until(lambda: Path(f"{out}.up").exists(), "the job runs again")
    beside = home.daft("jobs", "retry", "a", "--exclusive", cwd=tree)
    killed.kill()
    killed.communicate()
    Path(f"{out}.slow").unlink()

    done = home.daft("jobs", "retry", "a", "--exclusive", cwd=tree)

    assert beside.returncode == 1
    assert "already running for this worktree: a" in beside.stderr
    assert "(1 failed)" in done.stdout, done.stderr


def test_a_job_that_still_runs_is_not_retried_and_a_crashed_one_is(home: Any, until: Any) -> None:
    project = home.repository(
        "hooks:\n  worktree-post-create:\n    jobs:\n"
        "      - {name: a, run: 'test -e $OUT.now || sleep 60', background: true}\n"
    )
    out = str(home.root / "out")
    home.daft("start", "feat", cwd=project, OUT=out)
    tree = home.root / "project.feat"
    until(lambda: home.jobs(tree)["a"]["status"] == "running", "the job runs")

    running = home.daft("jobs", "retry", cwd=tree, OUT=out)
    for leader in home.leaders():
        leader.send_signal(signal.SIGKILL)
        leader.wait()
    Path(f"{out}.now").touch()
    crashed = home.daft("jobs", "retry", "--wait", cwd=tree, OUT=out)

    assert running.returncode == 1
    assert "Cannot retry: 1 job(s) still running (a)" in running.stderr
    assert crashed.returncode == 0, crashed.stderr
    done = home.daft("jobs", "--format", "json", cwd=tree)
    assert [row["status"] for row in json.loads(done.stdout)] == ["crashed", "completed"]


def test_a_retry_without_a_background_has_done_everything_on_return(
    failed: tuple[Any, Path, str],
) -> None:
    home, tree, out = failed
    Path(f"{out}.now").touch()

    done = home.daft("jobs", "retry", cwd=tree, OUT=out, DAFT_NO_BACKGROUND_JOBS="")

    assert done.returncode == 0, done.stderr
    assert "(3 foreground done)" in done.stdout
    assert Path(f"{out}.c").read_text() == "x\n"
    assert home.leaders() == []
