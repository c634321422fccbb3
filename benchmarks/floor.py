"""The least that a leader in Python could cost: what its jobs need of the system, and no more.

The same gate, pipes, process, files and rows as a coordinator's, for a graph of nothing, in one
function without a single check. It says how much of what a graph costs is ours to save: what is
left of the bound on `make -j` once the system has had its part.
"""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

import apsw

_SHELL = "/bin/sh"
_COMMAND = 'read -r gate <&3 || exit 125; exec 3<&-; unset gate; cd -- "$1"; shift; :'
_TABLE = """
CREATE TABLE jobs (
    uid TEXT PRIMARY KEY, status TEXT, pid INTEGER, start TEXT, at TEXT, code INTEGER)
"""
_STARTED = "UPDATE jobs SET status = 'running', pid = ?, start = ?, at = ? WHERE uid = ?"
_ENDED = "UPDATE jobs SET status = 'completed', code = ?, at = ? WHERE uid = ?"
_NOW = "2026-01-01T00:00:00.000000+00:00"


class Floor:
    """Runs graphs of `count` no-op jobs, `width` side by side, each needing the one above it."""

    def __init__(self, home: Path, *, count: int, width: int) -> None:
        self._home = home
        self._count, self._width = count, width
        self._db = apsw.Connection(str(home / "floor.db"))
        for setting in ("journal_mode = WAL", "synchronous = NORMAL"):
            list(self._db.execute(f"PRAGMA {setting}"))
        self._db.execute(_TABLE)
        self._runs = 0

    def run(self) -> float:
        """Run one graph; return the seconds it took."""
        began = time.perf_counter()
        self._runs += 1
        folder = self._home / f"run{self._runs}"
        folder.mkdir()
        uids = [f"{self._runs}-{number}" for number in range(self._count)]
        with self._db:
            self._db.executemany("INSERT INTO jobs (uid) VALUES (?)", [(uid,) for uid in uids])
        epoll = select.epoll()
        by_exit: dict[int, _Job] = {}
        ready = list(range(self._width))
        ended: list[int] = []
        while ready or by_exit:
            started = [_Job(folder, number) for number in ready]
            if started or ended:
                self._save(uids, started, ended)
            for job in started:
                job.open_gate(epoll)
                by_exit[job.exit] = job
            gone = [by_exit.pop(fd) for fd, _ in epoll.poll() if fd in by_exit]
            ended = [job.end(epoll) for job in gone]
            ready = [number + self._width for number in ended if number + self._width < self._count]
        self._save(uids, [], ended)
        epoll.close()
        return time.perf_counter() - began

    def _save(self, uids: list[str], started: list[_Job], ended: list[int]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        for number in ended:
            self._db.execute(_ENDED, (0, _NOW, uids[number]))
        for job in started:
            self._db.execute(_STARTED, (job.pid, job.start, _NOW, uids[job.number]))
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Let go of the store."""
        self._db.close()


class _Job:
    """One process behind its gate."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        where = f"{folder}/j{number}"
        os.mkdir(where, 0o700)
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        self._log = os.open(f"{where}/output.jsonl", flags, 0o600)
        gate, self._gate = os.pipe()
        self._pipes: list[int] = []
        actions: list[tuple[int | str, ...]] = [
            (os.POSIX_SPAWN_DUP2, gate, 3),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        ]
        given = [gate]
        for end in (1, 2):
            read, write = os.pipe()
            os.set_blocking(read, False)
            self._pipes.append(read)
            given.append(write)
            actions.append((os.POSIX_SPAWN_DUP2, write, end))
        self.pid = os.posix_spawn(
            _SHELL,
            [_SHELL, "-c", _COMMAND, _SHELL, str(folder)],
            {**os.environ, "DAFT_JOB_ID": str(number)},
            file_actions=actions,
            setpgroup=0,
        )
        for fd in given:
            os.close(fd)
        self.exit = os.pidfd_open(self.pid)
        fd = os.open(f"/proc/{self.pid}/stat", os.O_RDONLY)
        self.start = os.read(fd, 4096).rpartition(b")")[2].split()[19].decode()
        os.close(fd)

    def open_gate(self, epoll: select.epoll) -> None:
        """Write the first record, let the job run, and watch it."""
        self._note(f'"event":"started","pid":{self.pid},"start":"{self.start}"')
        os.write(self._gate, b"go\n")
        os.close(self._gate)
        for fd in (self.exit, *self._pipes):
            epoll.register(fd, select.EPOLLIN | select.EPOLLONESHOT)

    def end(self, epoll: select.epoll) -> int:
        """Take its end, and write the last record; return which job it is."""
        os.waitpid(self.pid, 0)
        for fd in self._pipes:
            os.read(fd, 16384)
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            pass
        for fd in (self.exit, *self._pipes):
            epoll.unregister(fd)
            os.close(fd)
        self._note('"event":"finished","exit_code":0')
        os.close(self._log)
        return self.number

    def _note(self, data: str) -> None:
        line = f'{{"seq":0,"ts":{int(time.time() * 1000)},"kind":"status","data":{{{data}}}}}\n'
        os.write(self._log, line.encode())
