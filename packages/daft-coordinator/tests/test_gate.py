"""A job's command meets the shell it would meet without the gate in front of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daft_coordinator import Coordinator
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.logreader import read_log
from daft_protocol import InvocationSpec, JobSpec, new_invocation_id


def said(tmp_path: Path, command: str, **environment: str) -> tuple[list[str], int | None]:
    """Run `command` as a job; return what it said and its exit code."""
    store = MemoryJobStore(str(tmp_path / "logs"))
    spec = InvocationSpec(
        invocation_id=new_invocation_id(),
        hook_type="test",
        trigger_command="test",
        worktree="main",
        jobs=(JobSpec(name="job", command=command, working_dir=str(tmp_path)),),
    )
    with Coordinator(store) as coordinator:
        coordinator.submit(spec, environment={**os.environ, **environment})
        (job,) = coordinator.wait(spec.invocation_id)
        directory = store.log_directory(job)
    assert directory is not None
    lines = [record.data for record in read_log(directory) if isinstance(record.data, str)]
    return lines, job.exit_code


@pytest.mark.parametrize("name", ["go", "DAFT_SOMETHING", "CDPATH"])
def test_a_variable_of_the_caller_reaches_the_job(tmp_path: Path, name: str) -> None:
    lines, _ = said(tmp_path, f'echo "${name}"', **{name: "mine"})

    assert lines == ["mine"]


def test_a_job_has_no_arguments_and_knows_no_directory_before_its_own(tmp_path: Path) -> None:
    lines, _ = said(tmp_path, 'echo "$# $0 ${OLDPWD-none} ${DAFT_GATE-none}"; pwd; ls /proc/$$/fd')

    assert lines[:2] == ["0 /bin/sh none none", str(tmp_path)]
    assert "3" not in lines[2:6]


def test_the_shell_counts_lines_as_the_command_has_them(tmp_path: Path) -> None:
    lines, code = said(tmp_path, "true\nno-such-command-anywhere")

    assert code == 127
    assert "2" in lines[0]
    assert "no-such-command-anywhere" in lines[0]


@pytest.mark.parametrize("command", ["if", "echo 'open", ") oops"])
def test_a_command_that_is_no_shell_fails_and_nothing_of_it_runs(
    tmp_path: Path, command: str
) -> None:
    lines, code = said(tmp_path, command)

    assert code == 2
    assert lines
