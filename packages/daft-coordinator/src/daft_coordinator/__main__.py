"""The leader as a process: `python -m daft_coordinator --state-root DIR --repository ID`.

With `--invocation ID` it runs that invocation and leads nothing else.

Started by clients, never by hand. This is the program's one wiring module.
"""

from __future__ import annotations

import gc

if __name__ == "__main__":
    # Nothing is garbage while modules load; see `provisions`.
    gc.disable()

import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import frozen

from daft_protocol import handing
from daft_protocol.codec import encode_response
from daft_protocol.frames import encode_frame

from . import __version__, detaching, settings
from .adapters.clearing import clear_left
from .adapters.sqlite import SqliteJobStore, open_station
from .coordinator import Coordinator
from .journal import Journal
from .leader import Leader
from .ports import LEADER, OWN_LEADER
from .referral import Referral
from .station import LeaderLock, Station

BUSY_MS = 250
"""While a statement waits, no output is taken from any job; the roster waits without that."""
BUSY_AT_BIRTH_MS = 30_000
"""What we are born with nobody else has any more; and there is no output yet."""

_KNOWN = {
    *("--state-root", "--repository", "--invocation"),
    *("--client-fd", "--lock-fd", "--begin-with", "--workers"),
}


def main(argv: list[str] | None = None) -> int:
    """Lead a repository, or one invocation, until nothing is left to do. Returns the exit code.

    0: led and left, or somebody else leads. 1: could not lead, or gave up on the
    store; the journal says why.
    """
    options = _parse(sys.argv[1:] if argv is None else argv)
    client = None if options.client_fd is None else socket.socket(fileno=options.client_fd)
    detaching.settle_in(options.client_fd if options.lock_fd is None else options.lock_fd)
    station = open_station(options.state_root, options.repository, options.invocation_id)
    lock = _lock(station, options.lock_fd)
    if lock is None:
        _refuse(client, handing.NOT_LEADER, "another coordinator leads here")
        return 0
    journal = Journal(station.journal_path)
    try:
        store = SqliteJobStore.open(
            options.state_root,
            options.repository,
            leads=options.invocation_id is None,
            leads_one=options.invocation_id is not None,
            busy_ms=BUSY_AT_BIRTH_MS if options.begins_with_submit else BUSY_MS,
            report=journal.note,
        )
        coordinator = Coordinator(
            store,
            kind=LEADER if options.invocation_id is None else OWN_LEADER,
            workers=options.workers,
            socket_path=station.socket_path,
            version=__version__,
            report=journal.note,
        )
        leader = _leader(
            station,
            lock,
            coordinator,
            store,
            client=client,
            begins_with_submit=options.begins_with_submit,
            begun=lambda: store.wait_at_most(BUSY_MS),
            version=__version__,
            report=journal.note,
        )
    except Exception as error:
        # Whoever started us runs the jobs itself, and shows this line.
        journal.note(f"cannot lead: {type(error).__name__}: {error}")
        _refuse(client, handing.INTERNAL, f"{type(error).__name__}: {error}")
        lock.leave(station)
        return 1
    try:
        return 0 if leader.run() else 1
    finally:
        store.close()


def _leader(
    station: Station,
    lock: LeaderLock,
    coordinator: Coordinator,
    store: SqliteJobStore,
    **usual: Any,
) -> Leader:
    """Return the leader of a repository, or of one invocation. usual: what both are given."""
    if station.invocation_id is not None:
        # It leaves with its invocation, looks after no other, and nothing is evicted by it.
        whole = open_station(station.state_root, station.repository)
        return Leader(
            station, lock, coordinator, linger_s=0.0, repairs=Referral(coordinator, whole), **usual
        )
    return Leader(
        station,
        lock,
        coordinator,
        history=store.history,
        orphans=settings.orphans(os.environ),
        requeue_within_s=settings.requeue_within_s(os.environ),
        buried=partial(_clear_left, station, usual["report"]),
        **usual,
    )


def _clear_left(station: Station, report: Callable[[str], None]) -> None:
    try:
        clear_left(station.state_root, station.repository)
    except OSError as error:
        # Their files claim nothing: who looks finds them locked by nobody.
        report(f"files of leaders that died stay: {error}")


@frozen(kw_only=True)
class _Options:
    state_root: str
    repository: str
    invocation_id: str | None
    client_fd: int | None
    lock_fd: int | None
    begins_with_submit: bool
    workers: int | None


def _parse(argv: list[str]) -> _Options:
    """Read pairs of an option and its value: only programs of ours write them."""
    given = dict(zip(argv[::2], argv[1::2], strict=False))
    unknown = given.keys() - _KNOWN
    if unknown or len(argv) % 2 or not {"--state-root", "--repository"} <= given.keys():
        raise SystemExit(f"daft_coordinator: started with {argv}; `daft` starts it as it should be")
    workers = given.get("--workers")
    client_fd, lock_fd = given.get("--client-fd"), given.get("--lock-fd")
    return _Options(
        state_root=given["--state-root"],
        repository=given["--repository"],
        invocation_id=given.get("--invocation"),
        client_fd=None if client_fd is None else int(client_fd),
        lock_fd=None if lock_fd is None else int(lock_fd),
        begins_with_submit=given.get("--begin-with") == "submit",
        workers=settings.workers(os.environ) if workers is None else int(workers),
    )


def _lock(station: Station, inherited_fd: int | None) -> LeaderLock | None:
    if inherited_fd is None:
        return LeaderLock.try_acquire(station.lock_path)
    return LeaderLock.inherit(inherited_fd, station.lock_path)


def _refuse(client: socket.socket | None, code: str, text: str) -> None:
    if client is None:
        return
    try:
        client.sendall(encode_frame(encode_response(handing.Error(code=code, message=text))))
    except OSError:
        pass  # it did not wait for us
    client.close()


if __name__ == "__main__":
    sys.exit(main())
