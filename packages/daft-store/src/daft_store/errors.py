"""What can be wrong with a store, a path to it, or a repository's identity."""

from __future__ import annotations

from .facts import FactualError


class StoreError(FactualError):
    """Base of everything `daft_store` raises on purpose."""


class BadDirectoryVariable(StoreError):
    """A directory variable does not hold an absolute path. Nothing was created."""

    variable: str
    value: str

    def __str__(self) -> str:
        return f"{self.variable} is {self.value!r}; it must be an absolute path"


class PathOutsideState(StoreError):
    """A name would lead out of the state directory. Nothing was touched."""

    name: str

    def __str__(self) -> str:
        return f"{self.name!r} does not name anything inside the state directory"


class NotOurs(StoreError):
    """A file or directory in the way is a link, of another kind, or another user's.

    Nothing was followed or changed.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} {self.reason}; move it away, or set DAFT_STATE_DIR to another place"


class PermissionsTooOpen(StoreError):
    """Others may read what is ours alone, and the file system would not let us change that."""

    path: str
    mode: int

    def __str__(self) -> str:
        return (
            f"{self.path} is open to other users (mode {self.mode:04o}) and could not be closed; "
            "set DAFT_STATE_DIR to a place on a file system that keeps permissions"
        )


class WritableByOthers(StoreError):
    """Others may have written what only its owner may decide. Nothing was read or changed."""

    path: str
    mode: int

    def __str__(self) -> str:
        return (
            f"{self.path} can be written by other users (mode {self.mode:04o}), so nothing in it "
            f"counts; see whether it is as you left it, then: chmod go-w {self.path}"
        )


class ForeignFile(StoreError):
    """The file belongs to another program. It was left alone."""

    path: str
    found: int
    expected: int

    def __str__(self) -> str:
        return (
            f"{self.path} belongs to another program "
            f"(application id {self.found:08x}, ours is {self.expected:08x}); it was left alone"
        )


class SchemaTooNew(StoreError):
    """The file was written by a newer program. Nothing in it was changed."""

    path: str
    found: int
    expected: int

    def __str__(self) -> str:
        return f"{self.path}: schema {self.found} is newer than {self.expected}; upgrade daft"


class MigrationMismatch(StoreError):
    """A step the file has taken is not the step this program knows by that number."""

    path: str
    version: int
    found: str
    expected: str

    def __str__(self) -> str:
        return (
            f"{self.path}: schema step {self.version} is {self.found!r}, "
            f"this program calls it {self.expected!r}; the file comes from another build of daft"
        )


class StoreCorrupt(StoreError):
    """SQLite cannot make sense of the file. It was not changed."""

    path: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.path} is damaged ({self.reason}); "
            "the next hook that runs keeps it under another name and starts anew"
        )


class UnreadableRow(StoreError):
    """A row holds what no program of ours wrote. It was left as it is."""

    reason: str

    def __str__(self) -> str:
        return f"a row of the store cannot be read: {self.reason}"


class StoreBusy(StoreError):
    """Another process held the store for longer than we wait. Nothing was changed."""

    path: str

    def __str__(self) -> str:
        return f"{self.path} is in use by another process; try again"


class StoreIO(StoreError):
    """The system refused to read or write the store."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class BadIdentity(StoreError):
    """A repository's identity file holds something else. It was not changed."""

    path: str

    def __str__(self) -> str:
        return (
            f"{self.path} does not hold a repository id; "
            "deleting it makes a new one and orphans the job history so far"
        )


class BadName(StoreError):
    """What cannot name a repository. Nothing was changed."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name!r} cannot name a repository: {self.reason}"


class NameTaken(StoreError):
    """Another repository of the catalog has the name. Nothing was changed."""

    name: str
    path: str

    def __str__(self) -> str:
        return f"'{self.name}' is the repository at {self.path}; choose another name"
