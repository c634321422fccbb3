"""What the prompt waits for: which modules are loaded, and what is answered without any."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from daft_cli import __version__

BANNED = {
    "click", "attrs", "attr", "cattrs", "rich", "yaml", "psutil", "pluggy", "json", "re", "enum", "typing",
    "pathlib", "dataclasses", "inspect", "argparse", "subprocess", "logging", "asyncio", "datetime",
    "importlib.metadata",
}  # fmt: skip


def modules_of(words: list[str], cwd: Path, **environment: str) -> set[str]:
    """Return what running `daft` with `words` loads beyond a bare interpreter."""
    code = (
        "import sys, os; before = set(sys.modules)\n"
        "import atexit\n"
        "def tell(code=0):\n"
        "    print('MODULES', *(set(sys.modules) - before), file=sys.stderr)\n"
        "real = os._exit\n"
        "os._exit = lambda code: (tell(), sys.stderr.flush(), real(code))\n"
        f"sys.argv = ['daft', *{words!r}]\n"
        "from daft_cli.front import main\n"
        "code = main(); tell(); sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    line = next(one for one in done.stderr.split("\n") if one.startswith("MODULES"))
    return set(line.split()[1:])


def test_the_version_loads_nothing(tmp_path: Path) -> None:
    loaded = modules_of(["--version"], tmp_path)

    assert not loaded & BANNED
    assert not [name for name in loaded if name.startswith("daft_") and "cli" not in name]


@pytest.mark.parametrize("history", [False, True])
def test_the_listing_loads_apsw_and_nothing_else_of_weight(tmp_path: Path, history: bool) -> None:
    from daft_store import COORDINATOR, RepositoryPlaces, ensure_repository_id, open_writer

    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    if history:
        identity = ensure_repository_id(str(tmp_path / ".git"))
        places = RepositoryPlaces(str(tmp_path / "state"), identity)
        places.make({})
        open_writer(places.database, COORDINATOR).close()

    loaded = modules_of(["jobs"], tmp_path, DAFT_STATE_DIR=str(tmp_path / "state"))

    assert not loaded & BANNED
    assert ("apsw" in loaded) == history


def test_a_completed_word_costs_what_the_listing_does(recorded: Path) -> None:
    state = str(recorded.parent / "state")

    for context in ("hooks-jobs-job", "hooks-jobs-retry", "hooks-jobs-worktree"):
        loaded = modules_of(["__complete", context, ""], recorded, DAFT_STATE_DIR=state)

        assert not loaded & BANNED
        assert "apsw" in loaded


HOOKS_AND_JOBS = {
    "attrs", "cattrs", "yaml", "psutil", "pluggy", "rich", "asyncio", "daft_hooks",
    "daft_coordinator", "daft_protocol",
}  # fmt: skip


def test_going_and_looking_load_no_hooks_and_no_models(tmp_path: Path) -> None:
    for words in (["init", "-q", "."], ["commit", "-q", "--allow-empty", "-m", "x"]):
        who = ["-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True)

    modules_of(["list"], tmp_path)  # the first look takes the repository up in the catalog
    listed = modules_of(["list"], tmp_path)
    visited = modules_of(["go", "main"], tmp_path)

    unwanted = HOOKS_AND_JOBS | {
        "click",
        "inspect",
        "logging",
        "concurrent.futures",
        "daft_store.errors",
    }
    assert not listed & unwanted
    assert not visited & unwanted


def test_words_without_options_mean_what_they_mean_with_them(tmp_path: Path) -> None:
    for words in (["init", "-q", "."], ["commit", "-q", "--allow-empty", "-m", "x"]):
        who = ["-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"]
        long_ago = {**os.environ, "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z"}
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, env=long_ago)

    for plain, parsed in (
        (["list"], ["list", "--"]),
        (["go", "main"], ["go", "--", "main"]),
        (["go", "nowhere"], ["go", "--", "nowhere"]),
        (["go", "-"], ["go", "--", "-"]),
    ):
        short, long = daft(*plain, cwd=tmp_path), daft(*parsed, cwd=tmp_path)
        assert (short.returncode, short.stdout, short.stderr) == (
            long.returncode,
            long.stdout,
            long.stderr,
        )
    assert daft("go", "", cwd=tmp_path).returncode == daft("go", "--", "", cwd=tmp_path).returncode


def test_a_log_is_shown_without_what_runs_jobs_and_what_clears_them_away(recorded: Path) -> None:
    state = str(recorded.parent / "state")

    loaded = modules_of(["jobs", "logs"], recorded, DAFT_STATE_DIR=state)

    assert "daft_coordinator.logreader" in loaded
    assert not loaded & {"cattrs", "psutil", "pluggy", "yaml", "rich", "socketserver", "logging"}
    assert not loaded & {
        "daft_coordinator.adapters.sqlite_history",
        "daft_coordinator.adapters.salvage",
        "daft_coordinator.client",
        "daft_coordinator.domain.retention",
        "daft_protocol.messages",
    }


@pytest.mark.parametrize("words", [["list", "-h"], ["jobs", "cancel", "--help"], ["hooks", "-h"]])
def test_help_loads_nothing(tmp_path: Path, words: list[str]) -> None:
    assert not modules_of(words, tmp_path) & BANNED


def daft(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "daft_cli", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_version_and_help(tmp_path: Path) -> None:
    assert daft("--version", cwd=tmp_path).stdout == f"daft {__version__}\n"
    assert daft("-C", "/", "-V", cwd=tmp_path).stdout == f"daft {__version__}\n"
    for words in ([], ["--help"], ["-h"]):
        done = daft(*words, cwd=tmp_path)
        assert done.returncode == 0
        assert "start <branch>" in done.stdout
    for words in (
        ["start", "-h"],
        ["hooks", "run", "-h"],
        ["jobs", "logs", "--help"],
        ["jobs", "-h"],
    ):
        done = daft(*words, cwd=tmp_path)
        assert done.returncode == 0
        assert done.stdout.startswith("Usage: daft")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["strat"], 1, "is not a daft command"),
        (["strat"], 1, "did you mean start"),
        (["-C"], 2, "option requires an argument"),
        (["-C", "/nowhere", "list"], 2, "not a directory"),
        (["start"], 2, "usage:"),
        (["start", "x", "--bogus"], 2, "unrecognized option: --bogus"),
        (["start", "x", "--hooks", "never"], 2, "invalid choice"),
        (["list", "--frmat"], 2, "--format"),
        (["jobs", "--bogus"], 2, "unrecognized"),
        (["jobs", "--status", "dancing"], 2, "invalid choice"),
        (["jobs", "--format", "xml"], 2, "invalid choice"),
        (["jobs", "--all", "--worktree", "x"], 2, "not allowed with"),
        (["jobs", "--failed", "--status", "failed"], 2, "not allowed with"),
        (["jobs", "--limit", "x"], 2, "takes a number"),
        (["jobs", "--last", "²"], 2, "takes a number"),
        (["jobs", "--format", "json", "--template", "x"], 2, "not allowed with"),
        (["jobs", "--template", "{% for"], 2, "(line 1 of the template)"),
        (["jobs", "--repo", "/nowhere"], 1, "the catalog knows of no repository"),
        (["jobs", "--repo", "nothing"], 1, "is no repository that is known"),
        (["jobs", "--repo", "/"], 1, "not inside a Git repository"),
        (["jobs", "--repo", "x", "cancel", "y"], 2, "listing and one-shot `logs` only"),
        (["jobs", "logs", "-f", "--repo", "x"], 2, "listing and one-shot `logs` only"),
        (["jobs", "logs", "--stdout", "--stderr"], 2, "--stdout is not allowed with --stderr"),
        (["jobs", "logs", "--raw", "--seq"], 2, "--raw is the output alone"),
        (["jobs", "logs", "-f", "--head", "1"], 2, "no end to wait for"),
        (["jobs", "--all", "logs"], 2, "--all does not apply"),
        (["jobs", "logs", "--tail", "-1"], 2, "usage:"),
        (["jobs", "wait", "--all", "x"], 2, "not allowed with"),
        (["jobs", "wait", "x", "--tag", "y"], 2, "not with an address"),
        (["jobs", "cancel", "--all", "--tag", "y"], 2, "not allowed with"),
        (["jobs", "cancel", "--older-than", "soon"], 2, "--older-than: 'soon'"),
        (["jobs", "--status", "failed", "--status", "failed"], 2, "not allowed with"),
        (["jobs", "--worktree"], 2, "requires an argument"),
        (["jobs"], 1, "Not inside a Git repository"),
        (["list"], 1, "Not inside a Git repository"),
        (["jobs", "cancel"], 2, "say what to stop"),
        (["shell-init", "tcsh"], 2, "is not one of"),
    ],
)
def test_bad_words_get_one_answer_and_a_code(
    tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    done = daft(*words, cwd=tmp_path)

    assert done.returncode == code
    assert said.lower() in done.stderr.lower()
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_failure(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m daft_cli --help | true; echo done"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "done\n"
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_function_is_only_code(tmp_path: Path, shell: str) -> None:
    done = daft("shell-init", shell, cwd=tmp_path)

    assert done.returncode == 0
    assert done.stderr == ""
    assert "DAFT_CD_FILE" in done.stdout


# --- what the process was started with --------------------------------------------------------


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A repository with a store that has nothing in it, its state beside it."""
    from daft_store import COORDINATOR, RepositoryPlaces, ensure_repository_id, open_writer

    place = tmp_path / "project"
    place.mkdir()
    subprocess.run(["git", "init", "-q", "."], cwd=place, check=True)
    places = RepositoryPlaces(str(tmp_path / "state"), ensure_repository_id(str(place / ".git")))
    places.make({})
    open_writer(places.database, COORDINATOR).close()
    return place


def run(place: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `$daft` is the program."""
    return subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=place,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(place.parent),
            "DAFT_STATE_DIR": str(place.parent / "state"),
            "DAFT_NO_LOG_CLEAN": "1",
            "daft": f"{sys.executable} -W error -m daft_cli",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("words", ["--version", "jobs", "list", "list --format json"])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_failure(recorded: Path, words: str, closed: str) -> None:
    done = run(recorded, f"$daft {words} {closed}")

    assert done.returncode == 0
    assert done.stderr == ""


def test_nothing_is_written_into_a_file_that_got_the_number_of_a_closed_stream(
    recorded: Path,
) -> None:
    (store,) = (recorded.parent / "state").glob("jobs/*/coordinator.db")
    before = store.read_bytes()

    run(recorded, "$daft jobs >&- 2>&- <&-")

    assert store.read_bytes() == before


@pytest.mark.parametrize("words", ["--help", "jobs", "list", "list -h"])
def test_a_reader_that_has_left_is_no_failure(recorded: Path, words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        [sys.executable, "-m", "daft_cli", *words.split()],
        cwd=recorded,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(recorded.parent),
            "DAFT_STATE_DIR": str(recorded.parent / "state"),
            "DAFT_NO_LOG_CLEAN": "1",
        },
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)

    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
@pytest.mark.parametrize("words", ["--help", "jobs", "list"])
def test_output_that_cannot_be_written_is_a_failure_in_one_line(recorded: Path, words: str) -> None:
    done = run(recorded, f"$daft {words} >/dev/full")

    assert done.returncode == 1
    assert done.stderr == "error: No space left on device\n"


@pytest.mark.parametrize("words", ["jobs", "jobs logs x", "list", "start x"])
def test_a_directory_that_is_gone_is_named_and_only_where_it_matters(
    recorded: Path, words: str
) -> None:
    gone = recorded / "gone"
    gone.mkdir()
    script = "rmdir ../gone; "

    done = run(gone, f"{script} $daft {words}")

    assert done.returncode == 1
    assert "the current directory no longer exists" in done.stderr
    assert "Traceback" not in done.stderr
    gone.mkdir()
    assert run(gone, f"{script} $daft -C {recorded} jobs").returncode == 0
    gone.mkdir()
    shell = run(gone, f"{script} $daft shell-init bash")
    assert (shell.returncode, shell.stderr) == (0, "")
    gone.mkdir()
    assert run(gone, f"{script} $daft --version").returncode == 0


@pytest.mark.parametrize("option", ["--last", "--limit"])
@pytest.mark.parametrize("number", ["0", "99999999999999999999", "9" * 5000])
def test_numbers_beyond_any_column_mean_all(recorded: Path, option: str, number: str) -> None:
    done = run(recorded, f"$daft jobs --all {option} {number}")

    assert done.returncode == 0
    assert done.stderr == ""


def test_characters_the_terminal_does_not_have_are_written_as_escapes(recorded: Path) -> None:
    done = run(
        recorded,
        "$daft jobs --help",
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
        PYTHONIOENCODING="ascii:strict",
    )

    assert done.returncode == 0, done.stderr
    assert "unpin \\u2026" in done.stdout


def test_a_state_directory_that_is_no_use_is_said_so(recorded: Path) -> None:
    done = run(recorded, "$daft jobs", DAFT_STATE_DIR="relative")

    assert done.returncode == 4
    assert "must be an absolute path" in done.stderr


@pytest.mark.parametrize("words", ["", "hooks-jobs-job", "hooks-jobs-job x", "nonsense y z"])
def test_completion_says_nothing_where_there_is_nothing_to_say(tmp_path: Path, words: str) -> None:
    place = tmp_path / "place"
    place.mkdir()

    for variables in ({}, {"DAFT_STATE_DIR": "relative"}):
        done = run(place, f"$daft __complete {words}", **variables)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    subprocess.run(["git", "init", "-q", "."], cwd=place, check=True)
    (place / ".git" / "daft-id").write_text("not an id")
    done = run(place, f"$daft __complete {words}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_directories_are_told_as_they_are_used(recorded: Path) -> None:
    done = run(recorded, "$daft __dirs", DAFT_DATA_DIR="/data")

    lines = dict(line.split("\t") for line in done.stdout.splitlines())
    assert lines["data"] == "/data"
    assert lines["state"] == str(recorded.parent / "state")
    assert list(lines) == ["config", "data", "state"]


def test_a_table_of_the_store_is_dumped_and_an_unknown_one_refused(recorded: Path) -> None:
    policy = run(recorded, "$daft __dump-store repo-policy")
    jobs = run(recorded, "$daft __dump-store jobs")
    unknown = run(recorded, "$daft __dump-store nonsense")

    assert json.loads(policy.stdout)["keep_last"] is None
    assert (jobs.returncode, jobs.stdout) == (0, "")
    assert unknown.returncode == 1
    assert "invocations, jobs" in unknown.stderr
    assert run(recorded, "$daft __dump-store").returncode == 2
    assert run(recorded.parent, "$daft __dump-store jobs").returncode == 1


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("", False), (None, False)])
def test_a_failure_nobody_foresaw_is_shown_whole_where_that_is_wanted(
    tmp_path: Path, value: str | None, shown: bool
) -> None:
    code = (
        "import sys\nfrom daft_cli import front\n"
        "front._dispatch = lambda words: 1 // 0\nsys.exit(front.main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"} if value is None else {"DAFT_DEBUG": value},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert ("Traceback" in done.stderr) is shown
    assert ("run it again with DAFT_DEBUG=1" in done.stderr) is not shown


@pytest.mark.parametrize(
    ("words", "most"),
    [(["jobs"], 1), (["__complete", "hooks-jobs-job", ""], 1), (["--version"], 0)],
)
def test_whoever_waits_at_a_prompt_opens_the_store_once_and_only_to_read(
    tmp_path: Path, words: list[str], most: int
) -> None:
    from daft_store import COORDINATOR, RepositoryPlaces, ensure_repository_id, open_writer

    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    identity = ensure_repository_id(str(tmp_path / ".git"))
    places = RepositoryPlaces(str(tmp_path / ".local" / "state" / "daft"), identity)
    open_writer(places.database, COORDINATOR).close()
    code = (
        "import os, sys, apsw\n"
        "told = lambda db: os.write(2, b'OPENED %d %s\\n' % ("
        "db.open_flags & apsw.SQLITE_OPEN_READONLY, db.filename.encode()))\n"
        "apsw.connection_hooks.append(told)\n"
        f"sys.argv = ['daft', *{words!r}]\n"
        "from daft_cli.front import main\n"
        "sys.exit(main())\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr.splitlines() == [f"OPENED 1 {places.database}"] * most
