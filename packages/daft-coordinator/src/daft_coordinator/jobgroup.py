"""The processes of one running job: signalled together, and found when they have escaped."""

from __future__ import annotations

from collections.abc import Sequence

from daft_protocol.jobs import ProcessIdentity

from .domain.family import outside_group
from .ports import Delivery, ProcessControl


class JobGroup:
    """A job's leader, its group, and whoever left the group.

    uid: the job's, which marks its processes.
    """

    is_refused = False
    """True when the system did not let us send the last signal."""

    def __init__(self, leader: ProcessIdentity, uid: str, *, processes: ProcessControl) -> None:
        self.leader = leader
        self._uid = uid
        self._processes = processes
        self._escaped: set[ProcessIdentity] = set()

    def signal(self, signal: int, *, family: bool) -> Delivery:
        """Signal the group; `family`: whoever escaped from it as well."""
        met = self._signal(signal, family=family)
        self.is_refused = met is Delivery.REFUSED
        return met

    def _signal(self, signal: int, *, family: bool) -> Delivery:
        if family:
            # Looked up before the leader dies: afterwards nobody knows whose child it was.
            members = self._processes.family(self.leader, self._uid)
            self._escaped.update(outside_group(members, self.leader))
        met = self._processes.signal_group(self.leader, signal)
        for member in self._escaped:
            self._processes.signal(member, signal)
        return met

    def rest(self) -> Sequence[ProcessIdentity]:
        """Return who of the group is left, and who left it, was asked to end and has not."""
        members = self._processes.group_members(self.leader)
        if not self._escaped:
            return members
        living = [one for one in self._escaped if self._processes.is_alive(one) is not False]
        return (*members, *living)
