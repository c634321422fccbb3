"""The suites themselves: no sentence of a port is left out, and a broken adapter is caught."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from daft_coordinator import history, ports
from daft_coordinator.ports import JobStore
from daft_coordinator.testing import ClockSuite, JobHistorySuite, JobStoreSuite, ProcessControlSuite
from daft_coordinator.testing.promises import promises_kept_by, promises_of, sentences_of

PORTS = [
    (ports.Clock, ClockSuite, ()),
    (ports.JobStore, JobStoreSuite, (ports.JobChange, ports.JobQuery, ports.Owner)),
    (
        history.JobHistory,
        JobHistorySuite,
        (
            history.RunningJob,
            history.LogDirectory,
            history.Tombstone,
            history.Place,
            history.PassRecord,
        ),
    ),
    (ports.ProcessControl, ProcessControlSuite, (ports.Spawned, ports.ExitStatus, ports.Delivery)),
]
# What a port says of us, and what it costs: no adapter can break these.
REMARKS = {
    "Raises also: StoreFull.",
    "The only way this package touches one.",
    "Slower than `group_members`: it reads every process of this user.",
}


@pytest.mark.parametrize(("port", "suite", "values"), PORTS)
def test_every_sentence_of_a_port_is_kept_by_a_test(
    port: type, suite: type, values: tuple[type, ...]
) -> None:
    written = {
        (name, sentence)
        for name, sentences in promises_of(port, values).items()
        for sentence in sentences
        if sentence not in REMARKS
    }
    kept = promises_kept_by(suite)

    assert written - kept == set(), "add a test to the suite, marked with these sentences"
    assert kept - written == set(), "these sentences are not in the port (any more)"


def test_a_method_without_words_is_no_method_of_a_port() -> None:
    for port, _, values in PORTS:
        silent = [name for name, said in promises_of(port, values).items() if not said]
        assert silent == []


def test_sentences_are_told_apart() -> None:
    assert sentences_of(JobStore.apply) == (
        "Make each change whose guard holds, all in one transaction; False: it was refused.",
        "A job in a final status is never changed, whatever `allowed` says.",
        "A job that becomes completed adds its `duration_ms` to the durations.",
    )


BROKEN = """
import pytest
from attrs import evolve
from daft_coordinator.adapters.memory import MemoryJobStore
from daft_coordinator.adapters.memory_history import MemoryHistory
from daft_coordinator.ports import changed
from daft_coordinator.testing import (
    ClockSuite, JobHistorySuite, JobStoreSuite, ProcessControlSuite, VirtualClock,
    VirtualProcessControl, VirtualWorld,
)
from daft_protocol.status import JobStatus
from test_processes import ScriptedBench

class IgnoresGuards(MemoryJobStore):
    def apply(self, changes):
        every = tuple(JobStatus)
        return super().apply([evolve(change, allowed=every) for change in changes])

class TakesAnybodysWord(MemoryJobStore):
    def apply(self, changes):
        return super().apply([evolve(change, only_of=None) for change in changes])

class RevivesTheDead(MemoryJobStore):
    def apply(self, changes):
        done = super().apply(changes)
        for change, made in zip(changes, done):
            if not made and change.job_uid in self._jobs:
                if self._jobs[change.job_uid].status in change.allowed:
                    self._jobs[change.job_uid] = changed(self._jobs[change.job_uid], change)
        return done

class RecordsHalf(MemoryJobStore):
    def record(self, invocation, jobs, *, lease=None):
        if invocation is not None:
            self._invocations.setdefault(invocation.invocation_id, invocation)
            super()._check_new(None, jobs)
            return super().record(None, jobs, lease=lease)
        return super().record(None, jobs, lease=lease)

class ClaimsTheForeground(MemoryJobStore):
    def claim(self, invocation_id, owner, *, dead=()):
        for job in self.jobs_of(invocation_id):
            self._jobs[job.uid] = evolve(job, owner=owner)
        return self.jobs_of(invocation_id)

class ForgetsTheLimit(MemoryJobStore):
    def record(self, invocation, jobs, *, lease=None):
        jobs = [evolve(job, spec=evolve(job.spec, timeout_s=300.0)) for job in jobs]
        return super().record(invocation, jobs, lease=lease)

class HidesSecrets(MemoryJobStore):
    def record(self, invocation, jobs, *, lease=None):
        jobs = [evolve(job, spec=evolve(job.spec, env={"PLAIN": "x"})) for job in jobs]
        return super().record(invocation, jobs, lease=lease)

class ForgetsTheOrder(MemoryJobStore):
    def jobs_of(self, invocation_id):
        return tuple(job for job in self._jobs.values() if job.invocation_id == invocation_id)

class RepeatsAtThePageEnd(MemoryJobStore):
    def find_jobs(self, query):
        page, after = super().find_jobs(query)
        return page, after if after is None else str(max(0, int(after) - 1))

class TimesEverything(MemoryJobStore):
    def _apply(self, change):
        timed = evolve(change, to=JobStatus.COMPLETED)
        before = dict(self._jobs)
        if super()._apply(timed):
            self._jobs = before
            del timed
            return super()._apply(change)
        return False

class LetsAnybodyIn(MemoryJobStore):
    def record(self, invocation, jobs, *, lease=None):
        leases, self._leases = self._leases, {}
        try:
            return super().record(invocation, jobs)
        finally:
            self._leases = leases

class NeverRetires(MemoryJobStore):
    def retire(self, owner_id):
        pass

class ListsTheOldest(MemoryJobStore):
    def recent_invocations(self, *, limit=200):
        return tuple(self._invocations.values())[:limit]

class IgnoresPins(MemoryHistory):
    def evict(self, departures):
        self._pinned.clear()
        return super().evict(departures)

class LeavesNoTombstones(MemoryHistory):
    def tombstones(self):
        return ()

class SeesNoReader(MemoryHistory):
    def is_in_use(self, invocation_id, dir_name):
        return False

class MeasuresWhatLinksPointTo(MemoryHistory):
    def directories(self):
        for one in super().directories():
            extra = 10_000 if one.dir_name else 0
            yield evolve(one, bytes=one.bytes + extra)

class ForgetsTheSources(MemoryHistory):
    def policy(self):
        return {name: (value, "") for name, (value, _) in super().policy().items()}

class KeepsThreePasses(MemoryHistory):
    def passes(self, limit=50):
        return super().passes(limit)[:3]

class GoesBack(VirtualClock):
    def monotonic(self):
        self._elapsed_s -= 1
        return self._elapsed_s

class IsNaive(VirtualClock):
    def now(self):
        return super().now().replace(tzinfo=None)

class RebootsEachTime(VirtualClock):
    def boot_id(self):
        self.reboot(self._boot_id + "x")
        return super().boot_id()

class TrustsNumbers(VirtualProcessControl):
    def signal(self, who, signal):
        process = self.host.processes.get(who.pid)
        return process is not None and super().signal(process.identity, signal)

class SaysRefusedIsGone(VirtualProcessControl):
    def signal(self, who, signal):
        met = super().signal(who, signal)
        return Delivery.GONE if met is Delivery.REFUSED else met

class SignalsLeadersOnly(VirtualProcessControl):
    def signal_group(self, who, signal):
        return self.signal(who, signal)

class LosesEscapees(VirtualProcessControl):
    def family(self, who, job_uid):
        return self.group_members(who)

class IgnoresDisowning(VirtualProcessControl):
    def family(self, who, job_uid):
        for process in self.host.living():
            if process.mark == "":
                process.mark = job_uid
        return super().family(who, job_uid)

class AdoptsEverybody(VirtualProcessControl):
    def family(self, who, job_uid):
        return tuple(process.identity for process in self.host.living())

class CallsZombiesAlive(VirtualProcessControl):
    def is_alive(self, who):
        return self.host.find(who) is not None

class HasNoGate(VirtualProcessControl):
    def spawn(self, command, **given):
        made = super().spawn(command, **given)
        process = self.host.find(made.identity)
        if process.gate is not None:
            self.host._open(process)
        return made

class SharesGroups(VirtualProcessControl):
    def spawn(self, command, *, terminal=False, **given):
        made = super().spawn(command, terminal=False, **given)
        return evolve(made, stdout=None, stderr=None) if terminal else made

class SaysTermIsAnExit(VirtualProcessControl):
    def reap(self, identity):
        status = super().reap(identity)
        if status is not None and status.signal is not None:
            return evolve(status, code=128 + status.signal, signal=None)
        return status

class LeaksOnFailure(VirtualProcessControl):
    def spawn(self, command, **given):
        try:
            return super().spawn(command, **given)
        except Exception:
            import os
            os.pipe()
            raise

@pytest.fixture
def world():
    with VirtualWorld() as world:
        yield world

def control_of(adapter):
    def processes(self, world):
        return adapter(world.host)
    def bench(self, world):
        return ScriptedBench(world)
    return {"processes": pytest.fixture(processes), "bench": pytest.fixture(bench)}

for adapter in VirtualProcessControl.__subclasses__():
    name = f"Test{adapter.__name__}"
    globals()[name] = type(name, (ProcessControlSuite,), control_of(adapter))

def suite_of(adapter, base, name):
    def made(self):
        return adapter()
    made.__name__ = name
    return type(f"Test{adapter.__name__}", (base,), {name: pytest.fixture(made)})

for adapter in MemoryJobStore.__subclasses__():
    globals()[f"Test{adapter.__name__}"] = suite_of(adapter, JobStoreSuite, "store")
for adapter in MemoryHistory.__subclasses__():
    def history(self, store, adapter=adapter):
        return adapter(store, store._log_root)
    def store(self, tmp_path):
        return MemoryJobStore(str(tmp_path / "logs"))
    globals()[f"Test{adapter.__name__}"] = type(
        f"Test{adapter.__name__}",
        (JobHistorySuite,),
        {"history": pytest.fixture(history), "store": pytest.fixture(store)},
    )
for adapter in VirtualClock.__subclasses__():
    globals()[f"Test{adapter.__name__}"] = suite_of(adapter, ClockSuite, "clock")
"""
NOTICED_BY = {
    "IgnoresGuards": "test_a_change_is_made_only_from_where_it_is_allowed",
    "TakesAnybodysWord": "test_a_change_may_be_the_owner_s_alone",
    "RevivesTheDead": "test_what_has_ended_never_changes",
    "RecordsHalf": "test_a_conflict_records_nothing",
    "ClaimsTheForeground": "test_a_claim_takes_what_waits_in_the_background",
    "ForgetsTheLimit": "test_a_limit_and_the_lack_of_one_are_two_things",
    "HidesSecrets": "test_a_secret_is_kept_out_or_kept_whole",
    "ForgetsTheOrder": "test_jobs_come_in_the_order_they_were_declared",
    "RepeatsAtThePageEnd": "test_pages_meet_without_gap_or_overlap",
    "TimesEverything": "test_only_a_success_says_how_long_a_job_takes",
    "LetsAnybodyIn": "test_a_leased_worktree_takes_jobs_of_its_holder_only",
    "NeverRetires": "test_an_owner_is_known_until_it_retires",
    "ListsTheOldest": "test_the_newest_invocations_come_first",
    "IgnoresPins": "test_what_is_not_as_it_was_stays_whole",
    "LeavesNoTombstones": "test_rows_go_and_leave_tombstones",
    "SeesNoReader": "test_an_open_log_is_in_use",
    "MeasuresWhatLinksPointTo": "test_directories_are_measured",
    "ForgetsTheSources": "test_what_files_declare_comes_together",
    "KeepsThreePasses": "test_fifty_passes_are_kept",
    "GoesBack": "test_monotonic_time_never_goes_back",
    "IsNaive": "test_the_wall_clock_is_aware_and_in_utc",
    "RebootsEachTime": "test_the_boot_has_one_name",
    "TrustsNumbers": "test_a_namesake_is_somebody_else",
    "SaysRefusedIsGone": "test_what_becomes_of_a_signal_is_told",
    "SignalsLeadersOnly": "test_a_signal_reaches_the_whole_group",
    "LosesEscapees": "test_who_leaves_the_group_stays_in_the_family",
    "IgnoresDisowning": "test_who_declares_to_be_nobodys_is_left_alone",
    "AdoptsEverybody": "test_a_stranger_is_not_of_the_family",
    "CallsZombiesAlive": "test_who_is_alive_is_told_as_far_as_it_is_known",
    "HasNoGate": "test_a_closed_gate_runs_nothing",
    "SharesGroups": "test_a_job_with_the_terminal_is_in_our_group",
    "SaysTermIsAnExit": "test_a_death_by_signal_is_told",
    "LeaksOnFailure": "test_what_cannot_start_leaves_nothing_behind",
}


@pytest.fixture(scope="module")
def noticed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Adapters broken on purpose -> the tests of their suites that failed."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "test_broken.py").write_text(BROKEN, encoding="utf-8")
    report = folder / "report.xml"
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider"),
            *("-p", "no:xdist", f"--rootdir={folder}", f"--junitxml={report}", str(folder)),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    found: dict[str, set[str]] = {name: set() for name in NOTICED_BY}
    for case in ET.parse(report).iter("testcase"):
        adapter = case.attrib["classname"].rsplit(".Test", 1)[-1]
        if case.find("failure") is not None or case.find("error") is not None:
            found[adapter].add(case.attrib["name"].split("[")[0])
    return found


@pytest.mark.parametrize("adapter", NOTICED_BY)
def test_a_broken_adapter_fails_the_right_test(adapter: str, noticed: dict[str, set[str]]) -> None:
    assert NOTICED_BY[adapter] in noticed[adapter]


def test_no_broken_adapter_goes_unnamed(noticed: dict[str, set[str]]) -> None:
    assert set(noticed) == set(NOTICED_BY)


def test_virtual_time_needs_no_pytest() -> None:
    code = (
        "import sys; import daft_coordinator.testing as t; t.VirtualWorld(); t.a_job; t.Bench;"
        "assert 'pytest' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
