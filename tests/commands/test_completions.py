"""What Tab offers, asked of the shells themselves."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from daft_cli import front, jobs_list
from daft_cli.completions import SHELLS
from daft_cli.completions.meanings import MEANINGS
from daft_cli.completions.vocabulary import vocabulary

HERE = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"no {name}"))
    for name in SHELLS
]
ODD = 'it\'s "my" job $x'
CONFIG = """
tasks:
  dev: {jobs: [{run: 'true'}]}
  deploy: {jobs: [{run: 'true'}]}
hooks:
  worktree-post-create:
    jobs:
      - {name: build, run: 'true'}
      - {name: bad, run: exit 1}
      - name: "it's \\"my\\" job $x"
        run: 'true'
"""
ASK = {
    # As readline calls it.
    "bash": (
        'source "$1"; COMP_LINE="$2" COMP_POINT=${#2}; _daft; printf "%s\\n" "${COMPREPLY[@]}"'
    ),
    "fish": 'source "$argv[1]"; complete -C "$argv[2]"',
    # Every candidate goes through compadd, which says what of it fits the word.
    "zsh": "",
}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The path of each shell's script."""
    folder = tmp_path_factory.mktemp("scripts")
    for shell in SHELLS:
        done = subprocess.run(
            [sys.executable, "-m", "daft_cli", "completions", shell],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        (folder / shell).write_text(done.stdout, encoding="utf-8")
    return {shell: str(folder / shell) for shell in SHELLS}


@pytest.fixture
def tree(home: Any) -> Path:
    """A worktree whose hook has run, with other branches around it."""
    project = home.repository(CONFIG)
    home.git("branch", "feat/one", cwd=project)
    home.git("branch", "other", cwd=project)
    home.daft("start", "x", cwd=project)
    tree: Path = home.root / "project.x"
    return tree


def offered(home: Any, shell: str, script: str, line: str, cwd: Path) -> list[str]:
    """Return the candidates of a shell for the end of a line, without what is said of them."""
    if shell == "zsh":
        return shown_by_zsh(home, script, line, cwd)
    words = ["bash", "--norc", "-c", ASK["bash"], "bash"]
    if shell == "fish":
        words = ["fish", "--no-config", "-c", ASK["fish"]]
    done = home.run(*words, script, line, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [one.partition("\t")[0] for one in done.stdout.splitlines() if one]


def typed(home: Any, words: list[str], steps: list[tuple[str, str]], cwd: Path) -> str:
    """Run an interactive shell on a terminal; return all that was shown.

    steps: (what must be shown first, what is typed then).
    """
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (60, 200))
    process = subprocess.Popen(
        words, cwd=cwd, env={**home.environment, "TERM": "dumb", "PS1": "ready> "},
        stdin=child, stdout=child, stderr=child, start_new_session=True,
    )  # fmt: skip
    os.close(child)
    shown, seen = "", 0
    try:
        for wanted, keys in steps:
            while wanted not in shown[seen:]:
                assert select.select([parent], [], [], 30)[0], f"no {wanted!r} in {shown!r}"
                shown += os.read(parent, 65536).decode("utf-8", "replace")
            seen = shown.index(wanted, seen) + len(wanted)
            os.write(parent, keys.encode())
        while True:
            part = os.read(parent, 65536)
            if not part:
                break
            shown += part.decode("utf-8", "replace")
    except OSError:
        pass  # the shell has ended, and its end of the terminal with it
    finally:
        os.close(parent)
        process.kill()
        process.wait(30)
    return shown


ZSH_START = (
    "PS1='ready> '; autoload -Uz compinit; compinit -D -u; source {script};"
    # Only the calls that offer something: others ask which of their words would fit.
    " compadd() {{ if (( ! ${{argv[(I)-[OAD]*]}} )); then local -a fits;"
    ' builtin compadd -O fits "$@"; print -rl -- $fits >> {out}; fi; builtin compadd "$@" }};'
    " finished() {{ zle complete-word; print -n FINISHED }}; zle -N finished;"
    " bindkey '^I' finished; print started\n"
)


def shown_by_zsh(home: Any, script: str, line: str, cwd: Path) -> list[str]:
    """Return what zsh would complete the end of a line to."""
    out = home.root / "offered"
    out.write_text("")
    start = ZSH_START.format(script=script, out=out)
    typed(
        home, ["zsh", "-f", "-i"],
        [("", start), ("\nstarted", f"{line}\t"), ("FINISHED", "\x15exit\n")],
        cwd,
    )  # fmt: skip
    return list(dict.fromkeys(one for one in out.read_text().splitlines() if one))


OFFERED = {
    "daft jo": ["jobs"],
    "daft jobs ": ["logs", "cancel", "wait", "retry", "prune", "pin", "unpin", "list"],
    "daft hooks jobs ca": ["cancel"],
    "daft jobs cancel --no": ["--no-wait"],
    "daft jobs --worktree x can": ["cancel"],
    "daft jobs --status c": ["cancelling", "completed", "cancelled", "crashed"],
    "daft list --format y": ["yaml"],
    "daft jobs cancel --signal HU": ["HUP"],
    "daft hooks run post-": ["post-clone", "post-merge"],
    "daft remove f": ["feat/one"],
    "daft remove m": [],
    "daft go ": ["main", "feat/one", "other"],
    "daft start new fe": ["feat/one"],
    "daft jobs logs bu": ["build"],
    "daft jobs logs 'bu": ["build"],
    "daft jobs retry ba": ["bad"],
    "daft jobs --hook w": ["worktree-post-create"],
    "daft jobs wait build ba": ["bad"],
    "daft -C ../project go o": ["other"],
    "daft jobs logs -- -": [],
    "daft jobs logs --since 5": [],
    "daft shared mat": ["materialize"],
    "daft shared link .env ma": ["main"],
    "daft nonsense x": [],
    "daft hooks trust li": ["list"],
    "daft run de": ["dev", "deploy"],
    "daft rename x": ["x"],
}


@pytest.mark.parametrize("shell", HERE)
def test_tab_offers_what_may_stand_there(
    home: Any, tree: Path, scripts: dict[str, str], shell: str
) -> None:
    found = {line: offered(home, shell, scripts[shell], line, tree) for line in OFFERED}

    assert {line: sorted(words) for line, words in found.items()} == {
        line: sorted(words) for line, words in OFFERED.items()
    }


@pytest.mark.parametrize("shell", HERE)
def test_a_run_is_offered_by_its_id_and_goes_on_with_its_jobs(
    home: Any, tree: Path, scripts: dict[str, str], shell: str
) -> None:
    run = home.jobs(tree)["build"]["invocation_id"][:8]

    assert offered(home, shell, scripts[shell], f"daft jobs logs {run[:5]}", tree) == [run]
    assert offered(home, shell, scripts[shell], "daft jobs pin --inv ", tree) == [run]
    # bash completes what is behind the last character that ends a word for it, as `:` does.
    before = "" if shell == "bash" else f"{run}:"
    assert offered(home, shell, scripts[shell], f"daft jobs logs {run}:bu", tree) == [
        f"{before}build"
    ]


@pytest.mark.parametrize("shell", HERE)
def test_an_option_with_its_value_in_one_word_is_completed(
    home: Any, tree: Path, scripts: dict[str, str], shell: str
) -> None:
    found = offered(home, shell, scripts[shell], "daft jobs --format=nd", tree)

    assert [one.removeprefix("--format=") for one in found] == ["ndjson"]


RECEIVED = {
    "daft jobs logs it": ["jobs", "logs", ODD],
    "daft jobs logs 'it": ["jobs", "logs", ODD],
    'daft jobs logs "it': ["jobs", "logs", ODD],
    "daft jobs logs it\\'s": ["jobs", "logs", ODD],
    "daft hooks validate od": ["hooks", "validate", "odd 'file'.yml"],
    "daft jobs cancel --wor": ["jobs", "cancel", "--worktree"],
    "daft go ot": ["go", "other"],
}


@pytest.mark.parametrize("shell", HERE[:2])
def test_what_tab_completes_arrives_as_it_is(
    home: Any, tree: Path, scripts: dict[str, str], shell: str
) -> None:
    (tree / "odd 'file'.yml").write_text("")
    out = home.root / "received"
    out.write_text("")
    start = "" if shell == "bash" else "autoload -Uz compinit; compinit -D -u; "
    start += f"source {scripts[shell]}; PS1='ready> ';"
    start += (
        f" daft() {{ {{ printf '%s\\n' \"$@\"; echo; }} >> {out}; echo arrived; }}; echo started\n"
    )
    steps = [("", start), *zip(["\nstarted", *["\narrived"] * 6], RECEIVED, strict=True)]
    typing = [(wanted, f"{keys}\t\n" if wanted else keys) for wanted, keys in steps]

    shown = typed(home, INTERACTIVE[shell], [*typing, ("\narrived", "exit\n")], tree)

    received = [one.splitlines() for one in out.read_text().split("\n\n") if one]
    assert received == list(RECEIVED.values()), shown


INTERACTIVE = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}


@pytest.mark.parametrize("shell", HERE)
def test_without_the_interpreter_it_was_made_with_the_command_is_asked(
    home: Any, tree: Path, scripts: dict[str, str], shell: str
) -> None:
    moved = Path(scripts[shell]).read_text(encoding="utf-8").replace(sys.executable, "/gone/python")
    (home.root / "moved").write_text(moved, encoding="utf-8")
    shims = home.root / "bin"
    shims.mkdir()
    (shims / "daft").write_text(f'#!/bin/sh\nexec {sys.executable} -m daft_cli "$@"\n')
    (shims / "daft").chmod(0o755)
    home.environment["PATH"] = f"{shims}:{home.environment['PATH']}"

    assert offered(home, shell, str(home.root / "moved"), "daft go ot", tree) == ["other"]


def test_words_that_are_known_start_no_process(
    home: Any, tree: Path, scripts: dict[str, str]
) -> None:
    """With nothing on the path and no interpreter, verbs, options and values are still there."""
    moved = (
        Path(scripts["bash"]).read_text(encoding="utf-8").replace(sys.executable, "/gone/python")
    )
    (home.root / "moved").write_text(moved, encoding="utf-8")
    bash = shutil.which("bash")
    assert bash is not None

    for line, wanted in (("daft jobs ca", "cancel"), ("daft jobs --format y", "yaml")):
        done = home.run(
            bash, "--norc", "-c", ASK["bash"], "bash", str(home.root / "moved"), line,
            cwd=tree, PATH="/nowhere",
        )  # fmt: skip
        assert (done.stdout, done.stderr) == (f"{wanted}\n", "")


def test_a_bare_repository_has_branches_and_no_tasks(
    home: Any, tree: Path, scripts: dict[str, str]
) -> None:
    home.git("clone", "-q", "--bare", str(tree), str(home.root / "bare.git"), cwd=home.root)

    for line, wanted in (("daft go ot", ["other"]), ("daft run de", [])):
        assert offered(home, "bash", scripts["bash"], line, home.root / "bare.git") == wanted


def test_what_is_asked_takes_no_orders_from_where_one_stands(
    home: Any, tree: Path, scripts: dict[str, str]
) -> None:
    (tree / "daft_cli.py").write_text("raise SystemExit('not this one')\n")

    found = offered(home, "bash", scripts["bash"], "daft go ot", tree)

    assert found == ["other"]
    assert "-I -S" in Path(scripts["bash"]).read_text()


@pytest.mark.parametrize("shell", SHELLS)
def test_installing_puts_the_script_where_the_shell_looks(
    home: Any, scripts: dict[str, str], shell: str
) -> None:
    done = home.daft("completions", shell, "--install", cwd=home.root)

    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.removeprefix("Installed: ").strip())
    assert path.is_relative_to(home.root)
    assert path.read_text() == Path(scripts[shell]).read_text()
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("shell", HERE[:1] + HERE[2:])
def test_shell_init_brings_completion_with_it(
    home: Any, tree: Path, tmp_path: Path, shell: str
) -> None:
    shims = home.root / "bin"
    shims.mkdir()
    (shims / "daft").write_text(f'#!/bin/sh\nexec {sys.executable} -m daft_cli "$@"\n')
    (shims / "daft").chmod(0o755)
    home.environment["PATH"] = f"{shims}:{home.environment['PATH']}"
    (home.root / "init").write_text(home.daft("shell-init", shell, cwd=tree).stdout)

    assert offered(home, shell, str(home.root / "init"), "daft jobs ca", tree) == ["cancel"]


# --- the vocabulary and the parsers -----------------------------------------------------------


def test_every_meaning_is_of_a_parameter_that_there_is() -> None:
    import click

    from daft_cli.completions.vocabulary import _commands

    names: set[tuple[str, str]] = {("", "-C")}
    for verb, module in front.VERBS.items():
        command = __import__(module, fromlist=["command"]).command
        for path, one in _commands(verb, command):
            default = (
                one.commands.get(getattr(one, "default", ""))
                if isinstance(one, click.Group)
                else None
            )
            for param in (*one.params, *(default.params if default is not None else ())):
                found = {param.name, *param.opts} - {None}
                names |= {(path, name) for name in found} | {("", name) for name in found}
    listed = {("jobs", word.text) for word in vocabulary()["jobs"]}

    general = {key for key in MEANINGS if key[0].startswith("jobs ") and key[1] not in (
        "target", "--cwd", "--signal", "--repo")}  # fmt: skip
    assert set(MEANINGS) - general <= names | listed


def test_the_listing_takes_every_option_that_is_offered_for_it() -> None:
    verbs = [word.text for word in vocabulary()["jobs"] if word.kind == "v"]
    assert verbs == [*front.JOB_VERBS, "list"]
    values = {"--status": "failed", "--format": "json", "--limit": "3", "--template": "{{ items }}"}

    for word in vocabulary()["jobs"]:
        if word.kind == "o" and word.text != "--repo":
            asked = [word.text, values.get(word.text, "x")] if word.meaning else [word.text]
            jobs_list._parse(asked)


def test_no_word_breaks_the_table_it_is_written_in() -> None:
    for words in vocabulary().values():
        for word in words:
            assert not re.search(r"[|\n]", word.text + word.meaning)
            assert "\n" not in word.help
            assert not word.meaning.startswith("=") or " " not in word.meaning.split("=")[0]
