"""Ports and values that every worktree derives for itself, without asking anybody.

A permanent contract, byte for byte: people write the results down.
"""

from __future__ import annotations

import posixpath
import re

from .config import EnvConfig

_OFFSET, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
_TEMPLATE = re.compile(r"\{([a-z_]+|env:[A-Za-z_][A-Za-z0-9_]*)\}")

PLACEHOLDERS = ("worktree_slug", "repo", "worktree_path", "worktree_root", "branch")


def mixed_hash(*fields: str) -> int:
    """Return FNV-1a of the fields, joined by a unit separator, its halves mixed. 64 bits."""
    found = _OFFSET
    for byte in "\x1f".join(fields).encode("utf-8", "surrogateescape"):
        found = ((found ^ byte) * _PRIME) & _MASK
    return found ^ (found >> 32)


def blocks(env: EnvConfig) -> int:
    """Return how many blocks fit into the lower half of the range."""
    return (env.last_port - env.first_port + 1) // 2 // env.block_size


def first_of_block(env: EnvConfig, *, project: str, slug: str) -> int:
    """Return the first port of the worktree's block.

    project: name of the project's directory, the salt unless one is declared.
    """
    mixed = mixed_hash(str(env.scheme), env.salt or project, slug)
    return env.first_port + (mixed % blocks(env)) * env.block_size


def undeclared_port(env: EnvConfig, *, project: str, slug: str, name: str) -> int:
    """Return a port for a name nobody declared, from the upper half of the range."""
    first = env.first_port + blocks(env) * env.block_size
    mixed = mixed_hash(str(env.scheme), env.salt or project, slug, name)
    return first + mixed % (env.last_port - first + 1)


def derive(
    env: EnvConfig, *, project_root: str, worktree_path: str, slug: str, branch: str
) -> dict[str, str]:
    """Return every variable that `env` declares, for one worktree: ports first, then values.

    branch: "" for none.
    """
    project = posixpath.basename(project_root.rstrip("/"))
    first = first_of_block(env, project=project, slug=slug)
    variables = {name: str(first + offset) for name, offset in env.offsets.items()}
    facts = {
        "worktree_slug": slug,
        "repo": project,
        "worktree_path": worktree_path,
        "worktree_root": worktree_path,
        "branch": branch,
        **{f"env:{name}": port for name, port in variables.items()},
    }
    values = {
        name: _TEMPLATE.sub(lambda found: facts.get(found[1], found[0]), template)
        for name, template in env.values.items()
    }
    return {**variables, **values}


def templates_of(text: str) -> list[str]:
    """Return what stands in braces; a brace that opens no placeholder is text."""
    return _TEMPLATE.findall(text)
