"""What `daft hooks validate` says after a look at the worktree, beyond the text of the files.

The manual has a row for each of these (docs/daft-yml.md, "What validate says").
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest

from daft_hooks import load
from daft_hooks.errors import Problem
from daft_hooks.inspection import inspect

JOB = "hooks:\n  worktree-post-create:\n    jobs:\n      - {name: a, %s}\n"
RUN = JOB % "run: x"
SCRIPT = JOB % "script: s"

# id -> severity, files, place, words of the message. A file that begins with `#!` is executable.
ROWS: dict[str, tuple[str, Mapping[str, str], str, str]] = {
    "spare-main-file": (
        "hint",
        {"daft.yml": RUN, "daft.yaml": RUN},
        "daft.yaml:1:1",
        "this file is not read, as daft.yml is",
    ),
    "another-main-file": (
        "hint",
        {"daft.yml": RUN, ".config/daft.yml": RUN},
        ".config/daft.yml:1:1",
        "this file is not read, as daft.yml is the main file",
    ),
    "spare-hook-file": (
        "hint",
        {"daft.yml": RUN, "pre-merge.yml": "", "pre-merge.yaml": ""},
        "pre-merge.yaml:1:1",
        "this file is not read, as pre-merge.yml is",
    ),
    "misplaced-hook-file": (
        "hint",
        {".config/daft.yml": RUN, ".config/pre-merge.yml": ""},
        ".config/pre-merge.yml:1:1",
        "this file is not read, as files per hook stand in .config/daft",
    ),
    "hook-file-in-the-other-place": (
        "hint",
        {"daft.yml": RUN, ".config/daft/pre-merge.yml": ""},
        ".config/daft/pre-merge.yml:1:1",
        "this file is not read, as files per hook stand in the top directory",
    ),
    "misnamed-overlay": (
        "hint",
        {"daft.yml": RUN, "daft.local.yaml": ""},
        "daft.local.yaml:1:1",
        "this file is not read, as the overlay of daft.yml is daft.local.yml",
    ),
    "spare-overlay": (
        "hint",
        {"daft.yml": RUN, "daft.local.yml": "", "daft-local.yml": ""},
        "daft-local.yml:1:1",
        "this file is not read, as daft.local.yml is",
    ),
    "overlay-of-nothing": (
        "hint",
        {"daft.local.yml": RUN},
        "daft.local.yml:1:1",
        "this file is not read, as there is no main file, such as daft.yml",
    ),
    "tracked-overlay": (
        "hint",
        {"daft.yml": RUN, "daft.local.yml": ""},
        "daft.local.yml:1:1",
        "everybody gets it: git rm --cached daft.local.yml",
    ),
    "missing-script": ("hint", {"daft.yml": SCRIPT}, "daft.yml:4:9", ".daft/s does not exist"),
    "script-is-a-directory": (
        "hint",
        {"daft.yml": SCRIPT, ".daft/s/x": ""},
        "daft.yml:4:9",
        ".daft/s is a directory",
    ),
    "script-cannot-be-executed": (
        "hint",
        {"daft.yml": SCRIPT, ".daft/s": "true"},
        "daft.yml:4:9",
        ".daft/s is not executable; `chmod +x` it, or say `runner: sh`",
    ),
    "missing-shell-file": (
        "hint",
        {"daft.yml": f"rc: env.sh\n{RUN}"},
        "daft.yml:1:5",
        "'env.sh' is no file here, and every job reads it",
    ),
    "hidden-executable": (
        "hint",
        {"daft.yml": RUN, ".daft/hooks/worktree-post-create": "#!/bin/sh\n"},
        "daft.yml:2:3",
        ".daft/hooks/worktree-post-create does not run, as this file configures the hook",
    ),
}


def around(repository: Any, files: Mapping[str, str]) -> tuple[Problem, ...]:
    repository.write(files)
    for name, text in files.items():
        if text.startswith("#!"):
            os.chmod(repository.path / name, 0o755)
    repository.commit({})
    return inspect(load(str(repository.path)), str(repository.path))


@pytest.mark.parametrize("row", ROWS)
def test_what_validate_finds_around(repository: Any, row: str) -> None:
    severity, files, place, said = ROWS[row]

    found = around(repository, files)

    fitting = [one for one in found if str(one.mark) == place and said in one.message]
    assert [one.severity.value for one in fitting] == [severity], [str(one) for one in found]
    for one in fitting:
        if one.path:
            assert one.excerpt == files[one.mark.file].split("\n")[one.mark.line - 1]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"daft.yml": RUN, "pre-merge.yml": "jobs: [{run: x}]\n"},
        {".config/daft.yaml": RUN, ".config/daft/pre-merge.yaml": "jobs: [{run: x}]\n"},
        {"daft.yml": SCRIPT, ".daft/s": "#!/bin/sh\n"},
        {"daft.yml": SCRIPT, ".daft-local/s": "#!/bin/sh\n"},
        {"daft.yml": JOB % "script: s, runner: sh", ".daft/s": "true"},
        {"daft.yml": JOB % "script: '{branch}'"},
        {"daft.yml": f"rc: env.sh\n{RUN}", "env.sh": ""},
        {"daft.yml": RUN, ".daft/hooks/worktree-post-create": "not executable"},
        {"daft.yml": RUN, ".daft/hooks/pre-merge": "#!/bin/sh\n"},
        {"daft.yml": RUN, "pre-merge.yaml/x": "", "daft.yaml/x": ""},
    ],
)
def test_what_is_as_it_should_be_is_not_told(repository: Any, files: Mapping[str, str]) -> None:
    assert around(repository, files) == ()


def test_an_overlay_that_git_ignores_is_not_told(repository: Any) -> None:
    repository.commit({"daft.yml": RUN, ".gitignore": "*.local.yml\n"})
    repository.write({"daft.local.yml": ""})

    assert inspect(load(str(repository.path)), str(repository.path)) == ()


def test_whatever_lies_about_gets_an_answer(repository: Any) -> None:
    repository.commit({"daft.yml": f"rc: loop\nsource_dir: /\n{JOB % 'script: loop'}"})
    for name in ("loop", "daft.local.yaml", ".daft"):
        (repository.path / name).symlink_to(name)
    os.mkfifo(repository.path / ".daft.yml")

    told = [one.message for one in inspect(load(str(repository.path)), str(repository.path))]

    assert told == [
        "/loop does not exist; create it, or correct `script`",
        "'loop' is no file here, and every job reads it",
    ]
