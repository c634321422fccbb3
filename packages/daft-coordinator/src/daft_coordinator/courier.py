"""Waits for an older leader to finish, with the work of a newer client in hand, then delivers it.

Started by a client whose submission the leader is too old for. What is never stored (the
environment, the secrets) is kept in memory here until a leader of this version takes it; the rows
belong to this process meanwhile. There is never a second leader: the courier leads nothing.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from typing import TYPE_CHECKING

from daft_protocol.codec import decode_request, encode_response
from daft_protocol.errors import ProtocolError
from daft_protocol.frames import FrameDecoder, encode_frame
from daft_protocol.messages import INTERNAL, Accepted, Error, Response, Submit
from daft_protocol.names import new_invocation_id
from daft_protocol.status import JobStatus

from . import __version__, changes, defaults, detaching
from .errors import CoordinatorError, LeaderTooOld
from .finding import LeaderFinder
from .link import ANSWER_S, Link
from .ports import Owner
from .station import Station, wait_until_free

if TYPE_CHECKING:
    from .adapters.sqlite import SqliteJobStore

_READ_BYTES = 64 * 1024


def start(station: Station, submit: Submit) -> None:
    """Hand `submit` to a courier; its rows stay queued until a leader can run them.

    Raises: CoordinatorError, OSError when it could not be handed over.
    """
    started = detaching.start("daft_coordinator.courier", station.words)
    link = Link(started.sock)
    try:
        link.ask(submit)
    finally:
        link.close()
        detaching.has_ended(started.pid)


def main(argv: list[str] | None = None) -> int:
    """Take one submission from our starter, and deliver it when the leader's place is free."""
    parser = argparse.ArgumentParser(prog="daft_coordinator.courier", allow_abbrev=False)
    parser.add_argument("--state-root", required=True)
    parser.add_argument("--repository", required=True)
    options = parser.parse_args(sys.argv[1:] if argv is None else argv)
    starter = socket.socket(fileno=detaching.CLIENT_FD)
    detaching.settle_in(detaching.CLIENT_FD)

    from .adapters.sqlite import SqliteJobStore, open_station

    station = open_station(options.state_root, options.repository)
    try:
        submit = _receive(starter)
        store = SqliteJobStore.open(options.state_root, options.repository)
        owner = _take(store, submit)
    except (CoordinatorError, ProtocolError, OSError) as error:
        # Our starter tells its user; nobody reads what we print.
        _answer(starter, Error(code=INTERNAL, message=str(error)))
        return 1
    _answer(starter, Accepted(invocation_id=submit.invocation_id))
    starter.close()
    try:
        return 0 if _deliver(station, store, submit) else 1
    finally:
        store.retire(owner.id)
        store.close()


def _deliver(station: Station, store: SqliteJobStore, submit: Submit) -> bool:
    """Wait and deliver until it is taken, or nothing of it is left to run."""
    finder = LeaderFinder(station, may_start=True, version=__version__)
    try:
        while _is_wanted(store, submit):
            wait_until_free(station.lock_path)
            try:
                met = finder.meet(submit)
            except LeaderTooOld:
                continue  # another one of those was faster
            except CoordinatorError:
                # The rows are queued, and whoever looks next finds them without an owner.
                return False
            met.link.close()
            return True
        return True
    finally:
        finder.close()


def _receive(starter: socket.socket) -> Submit:
    decoder = FrameDecoder()
    starter.settimeout(ANSWER_S)
    while True:
        data = starter.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError("nothing was handed over")
        bodies = decoder.feed(data)
        if bodies:
            message = decode_request(bodies[0]).message
            if not isinstance(message, Submit):
                raise CoordinatorError(f"a courier takes a Submit, not {type(message).__name__}")
            return message


def _take(store: SqliteJobStore, submit: Submit) -> Owner:
    """Answer for the queued jobs from now on, instead of the client, which is about to leave."""
    identity = defaults.posix_processes().identify(os.getpid())
    if identity is None:
        raise CoordinatorError("this process cannot see itself; is /proc mounted?")
    owner = Owner(id=new_invocation_id(), kind="courier", process=identity, version=__version__)
    store.register(owner)
    now = defaults.system_clock().now()
    store.apply(
        [
            changes.taken_over(job.uid, JobStatus.QUEUED, owner.id, now)
            for job in store.jobs_of(submit.invocation_id)
            if job.status is JobStatus.QUEUED and job.spec.background
        ]
    )
    return owner


def _is_wanted(store: SqliteJobStore, submit: Submit) -> bool:
    return any(job.status is JobStatus.QUEUED for job in store.jobs_of(submit.invocation_id))


def _answer(starter: socket.socket, response: Response) -> None:
    try:
        starter.sendall(encode_frame(encode_response(response, 1)))
    except OSError:
        return  # it did not wait for us


if __name__ == "__main__":
    sys.exit(main())
