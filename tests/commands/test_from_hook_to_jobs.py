"""What becomes of a hook's jobs: at the prompt, behind it, and when somebody dies."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from daft_coordinator.adapters.sqlite import SqliteJobStore

POST = "hooks: {{worktree-post-create: {{jobs: [{}]}}}}\n"


def runs(home: Any, cwd: Path) -> str:
    return str(home.daft("jobs", "--all", cwd=cwd).stdout)


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


# --- what is recorded -------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--hooks", "off"], ["--skip-hooks", "all"]])
@pytest.mark.parametrize("trust", [True, False])
def test_a_hook_that_is_left_out_by_wish_is_a_run_without_jobs(
    home: Any, words: list[str], trust: bool
) -> None:
    project = home.repository(POST.format("{name: a, run: touch ran}"), trust=trust)

    done = home.daft("start", "x", *words, cwd=project)

    assert done.returncode == 0, done.stderr
    assert not (home.root / "project.x" / "ran").exists()
    # Of hooks that nobody consented to, nothing is kept.
    assert ("(skipped: " in runs(home, project)) is trust
    assert home.jobs(project, "--all") == {}


def test_a_fire_without_anything_to_run_leaves_the_policy_alone(home: Any) -> None:
    retention = "log: {{keep_last: {}}}\n"
    project = home.repository(retention.format(11) + POST.format("{name: a, run: echo}"))
    home.daft("start", "x", cwd=project)

    (project / "daft.yml").write_text(retention.format(12) + POST.format("{name: a, run: echo}"))
    home.git("commit", "-qam", "more", cwd=project)
    home.daft("start", "y", "--hooks", "off", cwd=project)
    before = home.daft("jobs", "prune", "--explain", cwd=project).stdout
    home.daft("hooks", "trust", "-f", cwd=project)
    home.daft("start", "z", cwd=project)
    after = home.daft("jobs", "prune", "--explain", cwd=project).stdout

    assert re.search(r"keep_last +11 ", before), before
    assert re.search(r"keep_last +12 ", after), after


def test_who_is_interrupted_in_front_starts_nothing_behind(home: Any, until: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: long, run: 'touch $HOME/started; sleep 60'},"
            "{name: behind, run: touch never, background: true}"
        )
    )
    running = home.start_daft("start", "x", cwd=project)
    until(lambda: (home.root / "started").exists(), "the job runs")

    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    tree = home.root / "project.x"
    jobs = home.jobs(tree)

    assert running.returncode == 130
    assert (jobs["long"]["status"], jobs["behind"]["status"]) == ("cancelled", "skipped")
    assert "cancelled" in home.daft("jobs", "logs", "behind", cwd=tree).stdout
    assert home.leaders() == []


def test_a_failure_says_more_than_an_interrupt_behind_it(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: bad, run: touch $HOME/over; exit 3},"
            "{name: slow, run: until test -e $HOME/over; do sleep 0.05; done; echo ready; sleep 60}"
        )
    )

    code, shown = home.on_terminal(
        "hooks", "run", "worktree-post-create", cwd=project, typed=(("ready", "\x03"),)
    )

    assert code == 3, shown
    assert re.search("slow.*cancelled", shown)


def test_only_jobs_that_will_run_are_announced(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {fail_mode: warn, jobs: ["
        "{name: bad, run: exit 3}, {name: good, run: 'true'},"
        "{name: hopeless, run: 'true', background: true, needs: [bad]},"
        "{name: worse, run: 'true', background: true, needs: [hopeless]},"
        "{name: fine, run: 'true', background: true, needs: [good]}]}}\n"
    )

    done = home.daft("start", "x", cwd=project)

    assert "1 job running in background: fine (see `daft jobs`)" in done.stderr
    jobs = home.jobs(home.root / "project.x")
    assert {name: jobs[name]["status"] for name in ("hopeless", "worse")} == {
        "hopeless": "skipped", "worse": "skipped",
    }  # fmt: skip


def test_a_promotion_is_told_once_for_each_job(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: first, run: 'true', background: true},"
            "{name: second, run: 'true', background: true, needs: [first]},"
            "{name: last, run: 'true', needs: [second]}, {name: also, run: 'true', needs: [first]}"
        )
    )

    done = home.daft("start", "x", cwd=project)
    checked = home.daft("hooks", "validate", cwd=project)

    assert done.stderr.count("'first' promoted to foreground") == 1
    assert done.stderr.count("'second' promoted to foreground") == 1
    assert "background job 'first' runs in the foreground" in checked.stdout + checked.stderr


def test_a_job_in_order_that_is_for_the_background_anyway_goes_there(home: Any) -> None:
    project = home.repository(
        "hooks: {worktree-post-create: {parallel: false, jobs: ["
        "{name: a, run: 'true'}, {name: b, run: 'true', background: true}]}}\n"
    )

    done = home.daft("start", "x", "--hooks", "background", cwd=project)

    assert "declares an order: only jobs with `background` leave the foreground" in done.stderr
    jobs = home.jobs(home.root / "project.x")
    assert (jobs["a"]["background"], jobs["b"]["background"]) == (False, True)


# --- what a job gets --------------------------------------------------------------------------


def test_a_background_job_sees_what_its_user_sees(home: Any) -> None:
    show = "echo $PYTHONPATH $VIRTUAL_ENV $PYTHONSTARTUP; umask; yes | head -n 1; echo in $PWD"
    project = home.repository(POST.format(f"{{name: a, run: '{show}', background: true}}"))
    user = {"PYTHONPATH": "/of/user", "VIRTUAL_ENV": "/v", "PYTHONSTARTUP": "/s"}

    mask = os.umask(0o027)
    try:
        home.daft("start", "x", cwd=project, **user)
    finally:
        os.umask(mask)
    tree = home.root / "project.x"
    home.daft("jobs", "wait", cwd=tree)

    raw = home.daft("jobs", "logs", "a", "--raw", cwd=tree).stdout
    assert raw.splitlines() == ["/of/user /v /s", "0027", "y", f"in {tree}"]
    (leader,) = home.leaders() or [None]
    if leader is not None:
        assert user.keys() & leader.environ().keys() == set()


def test_a_job_that_waited_for_a_dead_coordinator_is_not_run_without_its_secret(
    home: Any, until: Any
) -> None:
    home.environment["DAFT_JOBS_WORKERS"] = "1"
    project = home.repository(
        POST.format(
            "{name: first, run: 'echo > $HOME/up; sleep 300', background: true},"
            "{name: second, run: touch $HOME/ran, background: true, env: {API_TOKEN: hidden}},"
            "{name: third, run: touch $HOME/third, background: true}"
        )
    )
    home.daft("start", "x", cwd=project)
    until(lambda: (home.root / "up").exists(), "the first one runs")
    (leader,) = home.leaders()

    leader.kill()
    leader.wait(10)
    tree = home.root / "project.x"
    code, shown = home.on_terminal("jobs", cwd=tree)
    until(lambda: (home.root / "third").exists(), "what waited and lacks nothing runs")

    second = home.jobs(tree)["second"]
    assert second["status"] == "skipped"
    assert "API_TOKEN" in home.daft("jobs", "logs", "second", cwd=tree).stdout
    assert not (home.root / "ran").exists()
    assert code == 0
    said = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "the record was put right: " in said
    assert "crashed: first" in said
    assert "queued again: third" in said
    assert "skipped: second" in said


def test_a_time_limit_is_named_where_jobs_are_listed(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: a, run: 'sleep 60 & sleep 60', background: true, timeout: 200ms},"
            "{name: b, run: sleep 0.5, background: true, timeout: none},"
            "{name: c, run: 'true', background: true}"
        )
    )
    home.daft("start", "x", cwd=project)
    tree = home.root / "project.x"
    home.daft("jobs", "wait", cwd=tree)

    jobs = home.jobs(tree)
    assert (jobs["a"]["status"], jobs["a"]["end_reason"]) == ("failed", "timeout")
    assert jobs["b"]["status"] == "completed"
    assert "timed out after 0.2 s; raise it with `timeout:`" in home.daft("jobs", cwd=tree).stdout
    limits = {one.name: one.spec.timeout_s for one in recorded(home, tree)}
    assert limits == {"a": 0.2, "b": None, "c": 300}


def test_a_task_has_all_the_time_there_is(home: Any) -> None:
    project = home.repository("tasks: {t: {jobs: [{name: a, run: echo}, {name: b, run: echo}]}}\n")

    done = home.daft("run", "t", cwd=project)

    assert done.returncode == 0, done.stderr
    assert {one.spec.timeout_s for one in recorded(home, project)} == {None}


def recorded(home: Any, cwd: Path) -> list[Any]:
    """Return the newest run's jobs with all that is stored of them."""
    (directory,) = (home.root / "state" / "jobs").iterdir()
    store = SqliteJobStore.open(str(home.root / "state"), directory.name)
    try:
        (newest,) = store.recent_invocations(limit=1)
        return list(store.jobs_of(newest.invocation_id))
    finally:
        store.close()


# --- cancelling -------------------------------------------------------------------------------


def test_a_cancel_waits_for_the_end_unless_it_is_not_to(home: Any, until: Any) -> None:
    deaf = "{{name: {0}, run: \"trap '' TERM; touch $HOME/{0}; sleep 60; sleep 60\","
    deaf += " background: true, cancel_grace_period: {1}}}"
    project = home.repository(
        POST.format(f"{deaf.format('a', '200ms')}, {deaf.format('b', '30s')}")
    )
    home.environment["DAFT_JOBS_WORKERS"] = "4"
    home.daft("start", "x", cwd=project)
    tree = home.root / "project.x"
    until(lambda: (home.root / "a").exists() and (home.root / "b").exists(), "both run")

    waited = home.daft("jobs", "cancel", "a", cwd=tree)
    at_once = home.daft("jobs", "cancel", "b", "--no-wait", cwd=tree)
    between = home.jobs(tree)["b"]["status"]
    again = home.daft("jobs", "cancel", "b", cwd=tree)

    assert (waited.returncode, at_once.returncode, again.returncode) == (0, 0, 0)
    assert between == "cancelling"
    assert {one["status"] for one in home.jobs(tree).values()} == {"cancelled"}
    killed = [one for one in recorded(home, tree) if one.term_signal == signal.SIGKILL]
    assert [one.name for one in killed] == ["a", "b"]


def test_ctrl_c_asks_and_the_second_kills(home: Any) -> None:
    project = home.repository(
        POST.format(
            "{name: deaf, run: \"trap '' TERM INT; echo ready; sleep 60 & wait; wait; sleep 60\"}"
        )
    )

    code, shown = home.on_terminal(
        "hooks", "run", "worktree-post-create", cwd=project,
        typed=(("ready", "\x03"), ("Ctrl+C again kills them", "\x03")),
    )  # fmt: skip

    assert code == 130, shown
    (job,) = recorded(home, project)
    assert (job.status.value, job.term_signal) == ("cancelled", signal.SIGKILL)


# --- after a death ----------------------------------------------------------------------------


def test_before_old_runs_go_the_record_is_put_right(home: Any, until: Any) -> None:
    project = home.repository(
        POST.format("{name: a, run: 'echo $$ > $HOME/pid; exec sleep 300', background: true}")
    )
    home.daft("start", "x", cwd=project)
    until(lambda: (home.root / "pid").exists() and (home.root / "pid").read_text(), "it runs")
    (leader,) = home.leaders()
    leader.kill()
    leader.wait(10)

    looked = home.daft("jobs", "prune", "--dry-run", cwd=project)
    assert not is_gone(int((home.root / "pid").read_text())), looked.stdout
    done = home.daft("jobs", "prune", "--format", "json", cwd=project)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["stale_running_marked"] == 0
    assert done.stderr == ""  # nobody looks on
    assert is_gone(int((home.root / "pid").read_text()))
    assert home.jobs(home.root / "project.x")["a"]["status"] == "crashed"
