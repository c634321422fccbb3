"""The front door: what to load for which words, before anything is loaded.

Help, the version and the listing of jobs are answered from here on without a framework. Every
other verb is one row in `VERBS` and one module.
"""

import os
import sys

from daft_cli import __version__

VERBS = {
    "clone": "daft_cli.commands.clone",
    "init": "daft_cli.commands.init",
    "start": "daft_cli.commands.start",
    "go": "daft_cli.commands.go",
    "merge": "daft_cli.commands.merge",
    "list": "daft_cli.commands.list",
    "remove": "daft_cli.commands.remove",
    "rename": "daft_cli.commands.rename",
    "carry": "daft_cli.commands.carry",
    "exec": "daft_cli.commands.exec",
    "shared": "daft_cli.commands.shared",
    "warm": "daft_cli.commands.warm",
    "repo": "daft_cli.commands.repo",
    "run": "daft_cli.commands.run",
    "env": "daft_cli.commands.env",
    "hooks": "daft_cli.commands.hooks",
    "jobs": "daft_cli.commands.jobs",
    "shell-init": "daft_cli.commands.shell_init",
    "completions": "daft_cli.commands.completions",
}

PLAIN = {
    "list": ("daft_cli.worktree_list:show", 0),
    "go": ("daft_cli.going:go", 1),
}
"""Verb -> what it does, and how many words it takes while no option is given: then nothing is
loaded that reads options, which would take longer than all the rest."""

HELP = """\
daft: a worktree for every branch, made ready by itself

Usage: daft [-C <path>] <verb> [options]

Worktrees
  clone <url>           clone a repository and open its first worktree
  init <name>           make a new repository
  start <branch>        make a branch and its worktree, and run the hooks
  go <branch>           go to a branch's worktree, making it if there is none
  merge <branch>...     merge branches without switching, behind the gates of daft.yml
  list                  show the worktrees
  remove <branch>...    remove worktrees and their branches, losing nothing
  rename <branch> <new> rename a branch, with its worktree and its jobs
  carry <branch>...     take uncommitted changes to other worktrees
  exec <branch>... -- <command>
                        run a command in several worktrees; also: exec --all
  shared [<verb>]       files such as .env, once for all worktrees
  warm [<worktree>]     copy caches and packages from another worktree
  repo list|info|add|remove|link|unlink
                        the repositories you work in, by name

Hooks and jobs
  env [<variable>]      the ports and values of the worktree
  run [<task>]          run a task of daft.yml; also: run --list
  hooks trust|prompt|deny|status|run|replay|validate
  jobs                  how the jobs went; also: jobs logs|cancel|wait|retry|prune|pin
  hooks jobs            the same as `jobs`

Shell
  shell-init <shell>    let daft change the directory of your shell, and complete its words
  completions <shell>   the completion script by itself; --install puts it in its place

Options
  -C <path>             act as if started in <path>
  -V, --version         print the version
  -h, --help            print this, or with a verb its own help
"""


def main() -> int:
    """Run `daft` with the process's arguments; return the exit code. No traceback gets out."""
    _ready_streams()
    try:
        code = _dispatch(sys.argv[1:])
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has seen enough; there is nobody left to tell.
        _mute()
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except Exception as error:
        if os.environ.get("DAFT_DEBUG") == "1":
            raise
        from daft_cli.failures import explain

        code = explain(error)
        _flush_or_mute()
        return code


def _dispatch(args: list[str]) -> int:
    if args and args[0] in ("-V", "--version"):
        return _say(f"daft {__version__}\n")
    while args[:1] == ["-C"]:
        trouble = _change_directory(args)
        if trouble is not None:
            return trouble
        args = args[2:]
    if not args or args[0] in ("-h", "--help", "help"):
        return _say(HELP)
    if args[0] in ("-V", "--version"):
        return _say(f"daft {__version__}\n")
    verb, rest = args[0], args[1:]
    if verb.startswith("__"):
        return _hidden(verb, rest)
    if verb == "hooks" and rest[:1] == ["jobs"]:
        verb, rest = "jobs", rest[1:]
    if verb not in VERBS:
        return _unknown(verb)
    if rest and rest[-1] in ("-h", "--help"):
        text = _help_of([verb, *rest[:-1]])
        if text is not None:
            return _say(text)
    if verb not in _WITHOUT_PLACE and not _stands_somewhere():
        return 1
    if verb == "jobs" and _is_listing(rest):
        from daft_cli import jobs_list

        return jobs_list.run(rest)
    code = _run(verb, rest)
    if verb not in _WITHOUT_CHORES:
        from daft_cli import announcing, tidying

        if verb != "jobs":  # which shows them itself
            announcing.tell(rest)
        # What looks like a hidden verb anywhere comes from a program, perhaps from one of ours.
        if not any(word.startswith("__") for word in rest):
            tidying.start_if_due()
    return code


def _run(verb: str, rest: list[str]) -> int:
    if verb in PLAIN and _is_plain(rest, PLAIN[verb][1]):
        import gc
        from importlib import import_module

        place, _, name = PLAIN[verb][0].partition(":")
        act = getattr(import_module(place), name)
        gc.freeze()
        gc.enable()
        code: int = act(*rest)
        return code
    from daft_cli.launch import launch

    return launch(verb, VERBS[verb], rest)


def _is_plain(rest: list[str], words: int) -> bool:
    return len(rest) == words and all(word == "-" or word[:1] not in ("", "-") for word in rest)


def _hidden(verb: str, rest: list[str]) -> int:
    """Run a verb that programs use, and no help tells of."""
    if verb == "__complete":
        from daft_cli import complete

        return complete.run(rest)
    if verb == "__dirs":
        from daft_cli import hidden

        return hidden.directories()
    if verb == "__dump-store":
        from daft_cli import hidden

        return hidden.dump_store(rest)
    if verb == "__clean-logs":
        from daft_cli.launch import launch

        return launch(verb, "daft_cli.commands.clean_logs", rest)
    return _unknown(verb)


def _help_of(words: list[str]) -> str | None:
    """Return the help of a verb, or of a verb's verb; None where only its parser can tell."""
    if words == ["jobs"]:
        from daft_cli import jobs_list

        return jobs_list.HELP
    if not all(word.replace("-", "").isalnum() and word[0] != "-" for word in words):
        return None
    try:
        with open(
            f"{os.path.dirname(__file__)}/help/{'.'.join(words)}.txt", encoding="utf-8"
        ) as file:
            return file.read()
    except OSError:
        return None


_WITHOUT_PLACE = ("shell-init", "completions")
"""Verbs that work in a directory that is gone: every new shell runs this one."""
_WITHOUT_CHORES = ("shell-init", "completions", "env")
"""Verbs that start nothing behind the user's back: shells read what they print. Hidden ones never
do, or it would never end."""


def _stands_somewhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        sys.stderr.write("error: the current directory no longer exists\n")
        sys.stderr.write("  tip: `cd` somewhere else, or use `daft -C <path> …`\n")
        return False
    return True


def _ready_streams() -> None:
    """Make the standard streams usable, whatever the process was started with.

    A closed one is opened on nothing: its number would go to the next file opened, a database
    perhaps, and output would be written into that. A character the terminal cannot show is
    written as its escape, which also keeps JSON valid.
    """
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        fd = os.open(os.devnull, os.O_RDWR)
        while fd <= 2:
            os.set_inheritable(fd, True)
            fd = os.open(os.devnull, os.O_RDWR)
        os.close(fd)
        if sys.stdin is None:
            sys.stdin = open(0, closefd=False)  # noqa: SIM115  (open for life)
        if sys.stdout is None:
            sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  (open for life)
        if sys.stderr is None:
            sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115  (open for life)
    adjust = getattr(sys.stdout, "reconfigure", None)
    if adjust is not None:  # whoever runs us inside a test may have put something simpler there
        adjust(errors="backslashreplace")


def _flush_or_mute() -> None:
    """Let out what was written before a failure, which may be that it cannot be let out."""
    try:
        sys.stdout.flush()
    except OSError:
        _mute()  # said already; the interpreter would try and say it once more


def _mute() -> None:
    """Let what is still buffered for standard output go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


JOB_VERBS = ("logs", "cancel", "wait", "retry", "prune", "pin", "unpin")
_VALUED = ("--worktree", "--status", "--hook", "--limit", "--format", "--template", "--repo")


def _is_listing(args: list[str]) -> bool:
    """True when no sub-verb follows: options come before it as well as behind it."""
    skip = False
    for arg in args:
        if skip:
            skip = False
        elif arg in _VALUED:
            skip = True
        elif arg in JOB_VERBS:
            return False
        elif not arg.startswith("-") and arg not in ("list", "ls") and not arg.isdecimal():
            return True
    return True


def _say(text: str) -> int:
    sys.stdout.write(text)
    return 0


def _change_directory(args: list[str]) -> int | None:
    """Apply one leading `-C`; return an exit code when it cannot be."""
    if len(args) < 2:
        sys.stderr.write("error: -C: option requires an argument\n")
        return 2
    if args[1] == "":
        return None
    try:
        os.chdir(args[1])
    except OSError as error:
        sys.stderr.write(f"error: -C: {args[1]} is not a directory one can enter: ")
        sys.stderr.write(f"{error.strerror}\n")
        return 2
    return None


def _unknown(verb: str) -> int:
    import difflib

    sys.stderr.write(f"error: '{verb}' is not a daft command\n")
    near = difflib.get_close_matches(verb, VERBS, 5)
    if near:
        sys.stderr.write(f"  tip: did you mean {', '.join(near)}?\n")
    sys.stderr.write("  tip: `daft --help` lists them all\n")
    return 1
