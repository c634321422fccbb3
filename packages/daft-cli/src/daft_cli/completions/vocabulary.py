"""The words of the command line, as its parsers know them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

import click
from attrs import frozen

from .. import front, jobs_list
from .meanings import MEANINGS

ANYTHING = "-"
"""The meaning of what takes a word nobody can guess."""


@frozen
class Word:
    """One thing that may stand behind a verb.

    kind: "v" for a verb, "o" for an option, "a" for an argument.
    text: what is typed; of an argument "*" when it may be repeated, else "".
    meaning: what its value may be, see `meanings`; ANYTHING for any word; "" of what takes none.
    help: a line about it.
    """

    kind: str
    text: str
    meaning: str
    help: str


def vocabulary() -> Mapping[str, tuple[Word, ...]]:
    """Return path of verbs -> what may stand behind it. "" is `daft` itself."""
    found = {"": tuple(_front())}
    for verb, module in front.VERBS.items():
        for path, command in _commands(verb, import_module(module).command):
            found[path] = tuple(_words(path, command))
    found["hooks"] += (Word("v", "jobs", "", "The same as `daft jobs`."),)
    found["jobs"] += tuple(_listing({word.text for word in found["jobs"]}))
    return found


def _front() -> Iterator[Word]:
    for verb, module in front.VERBS.items():
        yield Word("v", verb, "", import_module(module).command.get_short_help_str(100))
    yield Word("o", "-C", MEANINGS["", "-C"], "Act as if started there.")
    for text in ("-V", "--version"):
        yield Word("o", text, "", "Print the version.")
    yield from _HELP


_HELP = (Word("o", "-h", "", "Print help."), Word("o", "--help", "", "Print help."))


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=f"daft {path}")
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from _commands(f"{path} {name}", inner)


def _words(path: str, command: click.Command) -> Iterator[Word]:
    default = None
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=f"daft {path}")
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield Word("v", name, "", inner.get_short_help_str(100))
        # A group that does something without a verb takes the words of the verb it stands for.
        default = command.get_command(context, getattr(command, "default", ""))
    for param in (*command.params, *(default.params if default is not None else ())):
        if isinstance(param, click.Option) and not param.hidden:
            meaning = "" if param.is_flag or param.count else _meaning(path, param, param.opts)
            for text in (*param.opts, *param.secondary_opts):
                yield Word("o", text, meaning, " ".join((param.help or "").split()))
        elif isinstance(param, click.Argument) and param.name is not None:
            yield Word("a", "*" if param.nargs < 0 else "", _meaning(path, param, [param.name]), "")
    yield from _HELP


def _meaning(path: str, param: click.Parameter, names: list[str]) -> str:
    if isinstance(param.type, click.Choice):
        return "=" + " ".join(str(one) for one in param.type.choices)
    for name in names:
        known = MEANINGS.get((path, name)) or MEANINGS.get(("", name))
        if known is not None:
            return known
    return ANYTHING


def _listing(known: set[str]) -> Iterator[Word]:
    """Yield the options that only the listing of jobs has; its parser is told by its help."""
    yield Word("v", "list", "", "List them.")
    for line in jobs_list.HELP.partition("\nOptions\n")[2].splitlines():
        option, _, about = line.strip().partition("  ")
        text, _, value = option.partition(" ")
        if not text.startswith("--") or text in known:
            continue
        meaning = _LISTED.get(text) or MEANINGS.get(("jobs", text)) or ANYTHING
        # What may be left out (`[n]`) is nothing to wait for.
        yield Word("o", text, meaning if value.startswith("<") else "", about.strip())


_LISTED = {
    "--status": "=" + " ".join(jobs_list.STATUSES),
    "--format": "=" + " ".join(jobs_list.FORMATS),
}
