"""Looking at what is wanted: where it is, what git makes of it, what stands in the way."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from .. import git
from ..places import mounts_below
from ..worktrees import Worktree
from .domain import Found, Kind, Pattern, Standing

_BATCH = 500
_LARGEST_RULES = 65536


def matching(root: str, pattern: Pattern) -> list[str]:
    """Return the paths below `root` that a pattern means, those inside of others left out."""
    if pattern.fits is None:
        return [pattern.text] if os.path.lexists(os.path.join(root, pattern.text)) else []
    if pattern.base and _kind(os.path.join(root, pattern.base)) is not Kind.DIRECTORY:
        return []
    return sorted(_search(root, pattern))


def _search(root: str, pattern: Pattern) -> Iterator[str]:
    fits = pattern.fits
    assert fits is not None
    waiting = [pattern.base]
    while waiting:
        directory = waiting.pop()
        try:
            entries = list(os.scandir(os.path.join(root, directory)))
        except OSError:
            continue  # what cannot be read has nothing that could be copied
        if directory and any(entry.name == ".git" for entry in entries):
            continue  # another repository, or another worktree: what is in it is its own
        for entry in entries:
            path = f"{directory}/{entry.name}" if directory else entry.name
            if entry.name == ".git":
                continue
            if fits(path):
                if _kind_of(entry.stat(follow_symlinks=False).st_mode) is not Kind.OTHER:
                    yield path
            elif entry.is_dir(follow_symlinks=False) and (
                pattern.depth is None or path.count("/") + 1 < pattern.depth
            ):
                waiting.append(path)


def observe(
    source: Worktree,
    target: Worktree,
    paths: Sequence[str],
    worktrees: Sequence[Worktree],
    *,
    force: bool,
) -> list[Found]:
    """Return what is to be known of `paths` of `source` that are wanted in `target`.

    force: what is in the target already may be replaced; without it, less has to be known of that.
    Costs two git processes when all is as usual, none when there are no paths.
    Raises: GitFailed.
    """
    others = [os.path.realpath(one.path) for one in worktrees if not one.is_bare]
    found = [_look(source, target, path, others) for path in paths]
    open_ways = [one for one in found if one.obstacle is None and one.kind is not Kind.OTHER]
    standings = _standings(source.path, [one.path for one in open_ways])
    found = [
        one._replace(standing=standings[one.path][0], mark=standings[one.path][1])
        if one.path in standings
        else one
        for one in found
    ]
    wanted = [
        one
        for one in found
        if one.path in standings
        and one.standing is Standing.IGNORED
        and one.target_obstacle is None
        and (force or not one.is_there)
    ]
    ignored = _ignored_there(source.path, target.path, wanted)
    return [
        one._replace(is_ignored_there=one not in wanted or one.path in ignored) for one in found
    ]


def _look(source: Worktree, target: Worktree, path: str, worktrees: Sequence[str]) -> Found:
    origin = os.path.join(source.path, path)
    place = os.path.join(target.path, path)
    obstacle = _obstacle(source.path, path)
    target_obstacle = _obstacle(target.path, path)
    is_there = target_obstacle is None and not _is_free(place, _kind(origin))
    return Found(
        path=path,
        kind=_kind(origin) or Kind.OTHER,
        obstacle=obstacle or ("is a working tree of git" if _is_working_tree(origin) else None),
        holds=_held(origin, worktrees),
        # An absolute one leads back to where it is from, or to the same place from everywhere.
        leaves=_is_absolute(origin) or _leads_out(source.path, origin),
        target_obstacle=None if target_obstacle is None else f"there, {target_obstacle}",
        is_there=is_there,
        target_leaves=is_there and _leads_out(target.path, place),
        target_holds=(_held(place, worktrees) or mounted_in(place)) if is_there else None,
    )


def _obstacle(root: str, path: str) -> str | None:
    """Return why the parents of `path` cannot be gone through; missing ones are no obstacle."""
    parts = path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        return "is no path inside of a worktree"
    for count in range(1, len(parts)):
        parent = "/".join(parts[:count])
        kind = _kind(os.path.join(root, parent))
        if kind is None:
            return None
        if kind is Kind.LINK:
            return f"its parent {parent} is a link"
        if kind is not Kind.DIRECTORY:
            return f"its parent {parent} is no directory"
        if os.path.lexists(os.path.join(root, parent, ".git")):
            return f"its parent {parent} belongs to another repository"
    return None


def _is_working_tree(place: str) -> bool:
    """True where a file named `.git` says whose working tree this is; a copy would say it too."""
    return _kind(os.path.join(place, ".git")) is Kind.FILE


def _kind(path: str) -> Kind | None:
    try:
        return _kind_of(os.lstat(path).st_mode)
    except OSError:
        return None


def _kind_of(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.DIRECTORY
    return Kind.LINK if stat.S_ISLNK(mode) else Kind.OTHER


def _is_free(place: str, kind: Kind | None) -> bool:
    """True where nothing is; an empty directory counts as nothing where a directory is to be."""
    there = _kind(place)
    if there is Kind.DIRECTORY and kind is Kind.DIRECTORY:
        with os.scandir(place) as entries:
            return next(entries, None) is None
    return there is None


def _is_absolute(place: str) -> bool:
    """True for a link that says the whole path of what it means."""
    return _kind(place) is Kind.LINK and os.path.isabs(os.readlink(place))


def _leads_out(root: str, place: str) -> bool:
    """True for a link that leads out of the worktree at `root`."""
    if _kind(place) is not Kind.LINK:
        return False
    return not os.path.realpath(place).startswith(os.path.realpath(root) + os.sep)


def _held(place: str, worktrees: Sequence[str]) -> str | None:
    """Return a worktree that is in `place` or is it."""
    if _kind(place) is not Kind.DIRECTORY:
        return None
    real = os.path.realpath(place)
    inside = (one for one in worktrees if one == real or one.startswith(real + os.sep))
    return next(inside, None)


def _standings(root: str, paths: Sequence[str]) -> dict[str, tuple[Standing, str]]:
    """Return what git makes of paths, and the first of it that is not ignored."""
    if not paths:
        return {}
    found = dict.fromkeys(paths, (Standing.IGNORED, ""))
    for field in _not_ignored(root, paths):
        tag, _, name = field.partition(" ")
        standing = Standing.VISIBLE if tag == "?" else Standing.TRACKED
        for path in _around(name.rstrip("/")):
            known = found.get(path, (standing, ""))[0]
            # What is tracked says more than what is merely there.
            if known is not standing and known is not Standing.TRACKED:
                found[path] = (standing, name)
    return found


def _not_ignored(root: str, paths: Sequence[str]) -> Iterator[str]:
    """Give what is tracked or shown of paths: a letter, `?` for what is shown, and the path."""
    for begin in range(0, len(paths), _BATCH):
        listed = git.run(
            root,
            "--literal-pathspecs",
            "ls-files",
            "-t",
            "--cached",
            "--others",
            "--exclude-standard",
            "--directory",
            "--no-empty-directory",
            "-z",
            "--",
            *paths[begin : begin + _BATCH],
            doing=f"asking what git ignores in {root}",
        )
        yield from git.fields(listed)


def _around(name: str) -> Iterator[str]:
    """Give a path and all directories it is in."""
    parts = name.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts) + 1))


def _ignored_there(source: str, target: str, found: Sequence[Found]) -> set[str]:
    """Return the paths that git would not show in the target, and tracks nothing of there."""
    if not found:
        return set()
    spelled = {
        # With a slash, as most are not there yet and rules may be for directories only.
        f"{one.path}/" if one.kind is Kind.DIRECTORY else one.path: one.path
        for one in found
    }
    ignored = {spelled[name] for name in _check_ignore(target, list(spelled))}
    # Some directories bring along the file that has them ignored.
    own = [
        one.path
        for one in found
        if one.path not in ignored and _ignores_itself(os.path.join(source, one.path))
    ]
    standings = _standings(target, own)
    return ignored | {path for path in own if standings[path][0] is not Standing.TRACKED}


def _ignores_itself(place: str) -> bool:
    try:
        with open(os.path.join(place, ".gitignore"), "rb") as file:
            return b"*" in (line.strip() for line in file.read(_LARGEST_RULES).splitlines())
    except OSError:
        return False  # no such file


def _check_ignore(root: str, names: list[str]) -> list[str]:
    asked = git.attempt(root, "check-ignore", "-z", "--stdin", stdin="\0".join(names) + "\0")
    if asked.code in (0, 1):
        return [name for name in git.fields(asked.out) if name in names]
    if len(names) == 1:
        return []  # a submodule may be in the way: what git does not know it ignores, it shows
    return [name for one in names for name in _check_ignore(root, [one])]


def mounted_in(place: str) -> str | None:
    """Return where another file system is mounted inside of a directory, or on it."""
    mounts = mounts_below(place)
    if mounts:
        return mounts[0]
    return place if os.path.ismount(place) else None
