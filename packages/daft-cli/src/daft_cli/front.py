"""The front door: what to load for which words, before anything is loaded.

Help, the version and the listing of jobs are answered from here on without a framework. Every
other verb is one row in `VERBS` and one module.
"""

import sys

from daft_cli import __version__

VERBS = {
    "clone": "daft_cli.commands.clone",
    "init": "daft_cli.commands.init",
    "start": "daft_cli.commands.start",
    "go": "daft_cli.commands.go",
    "list": "daft_cli.commands.list",
    "remove": "daft_cli.commands.remove",
    "hooks": "daft_cli.commands.hooks",
    "jobs": "daft_cli.commands.jobs",
    "shell-init": "daft_cli.commands.shell_init",
}

HELP = """\
daft: a worktree for every branch, made ready by itself

Usage: daft [-C <path>] <verb> [options]

Worktrees
  clone <url>           clone a repository and open its first worktree
  init <name>           make a new repository
  start <branch>        make a branch and its worktree, and run the hooks
  go <branch>           go to a branch's worktree, making it if there is none
  list                  show the worktrees
  remove <branch>...    remove worktrees and their branches, losing nothing

Hooks and jobs
  hooks trust|deny|status|run|validate
  jobs                  how the jobs went; also: jobs logs|cancel|wait
  hooks jobs            the same as `jobs`

Shell
  shell-init <shell>    let daft change the directory of your shell

Options
  -C <path>             act as if started in <path>
  -V, --version         print the version
  -h, --help            print this, or with a verb its own help
"""


def main() -> int:
    """Run `daft` with the process's arguments; return the exit code."""
    args = sys.argv[1:]
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
    if verb == "hooks" and rest[:1] == ["jobs"]:
        verb, rest = "jobs", rest[1:]
    if verb == "jobs" and _is_listing(rest):
        from daft_cli import jobs_list

        return jobs_list.run(rest)
    if verb not in VERBS:
        return _unknown(verb)
    from daft_cli.launch import launch

    return launch(verb, VERBS[verb], rest)


JOB_VERBS = ("logs", "cancel", "wait")
_VALUED = ("--worktree", "--status", "--hook", "--limit", "--format")


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
        elif not arg.startswith("-") and arg not in ("list", "ls") and not arg.isdigit():
            return True
    return True


def _say(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough. Nothing may be flushed into the pipe at exit.
        sys.stdout = None
    return 0


def _change_directory(args: list[str]) -> int | None:
    """Apply one leading `-C`; return an exit code when it cannot be."""
    import os

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
