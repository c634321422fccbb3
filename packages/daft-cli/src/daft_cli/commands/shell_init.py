"""`daft shell-init`: the shell function that lets daft change the shell's directory, and Tab."""

from __future__ import annotations

import click

from ..completions import SHELLS

# The function runs the real program with a file to leave a destination in, and goes there
# whatever the exit code. `command` keeps it from calling itself; nothing here fails under
# `set -eu`, and a path may hold anything.
_POSIX = r"""
daft() {
  local __daft_file __daft_to __daft_code=0
  __daft_file="$(command mktemp "${TMPDIR:-/tmp}/daft-cd.XXXXXX" 2>/dev/null)" || __daft_file=""
  if [ -z "$__daft_file" ]; then
    command daft "$@"
    return $?
  fi
  DAFT_CD_FILE="$__daft_file" command daft "$@" || __daft_code=$?
  if [ -s "$__daft_file" ]; then
    __daft_to="$(command cat "$__daft_file"; printf x)"
    __daft_to="${__daft_to%x}"
    if [ -d "$__daft_to" ]; then
      builtin cd -- "$__daft_to" || __daft_code=$?
    fi
  fi
  command rm -f -- "$__daft_file"
  return $__daft_code
}
"""
_FISH = r"""
function daft
  set -l __daft_file (command mktemp 2>/dev/null)
  if test -z "$__daft_file"
    command daft $argv
    return $status
  end
  DAFT_CD_FILE=$__daft_file command daft $argv
  set -l __daft_code $status
  if test -s "$__daft_file"
    set -l __daft_to (command cat "$__daft_file" | string collect --no-trim-newlines)
    test -d "$__daft_to"; and builtin cd -- "$__daft_to"
  end
  command rm -f -- "$__daft_file"
  return $__daft_code
end
"""

# Completion is loaded when Tab is first pressed: making its script takes longer than a new shell
# should have to wait.
_BASH_TAB = r"""
if type complete >/dev/null 2>&1; then
  _daft() {
    unset -f _daft
    eval "$(command daft completions bash 2>/dev/null)"
    if type _daft >/dev/null 2>&1; then _daft "$@"; fi
  }
  complete -F _daft daft git-daft
fi
"""
_ZSH_TAB = r"""
if (( $+functions[compdef] )); then
  _daft() {
    unfunction _daft
    eval "$(command daft completions zsh 2>/dev/null)"
    if (( $+functions[_daft] )); then _daft "$@"; fi
  }
  compdef _daft daft git-daft
fi
"""
_FISH_TAB = r"""
function __daft_complete
  functions -e __daft_complete
  complete -c daft -e
  command daft completions fish 2>/dev/null | source
  functions -q __daft_complete; and __daft_complete
end
complete -c daft -f -k -a '(__daft_complete)'
"""
_SCRIPTS = {"bash": _POSIX + _BASH_TAB, "zsh": _POSIX + _ZSH_TAB, "fish": _FISH + _FISH_TAB}


@click.command(name="shell-init")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> int:
    """Print the shell function and completion; put `eval "$(daft shell-init bash)"` into your
    shell's start."""
    click.echo(_SCRIPTS[shell].lstrip("\n"), nl=False)
    return 0
