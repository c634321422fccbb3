"""Our own process controls keep what the port promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from daft_coordinator.adapters.processes import PosixProcessControl
from daft_coordinator.ports import ProcessControl
from daft_coordinator.testing import (
    NEVER,
    Bench,
    Child,
    ProcessControlSuite,
    Says,
    Script,
    VirtualProcessControl,
    VirtualWorld,
)
from daft_protocol.jobs import ProcessIdentity

READY = (Says(b"ready\n"),)


class ScriptedBench(Bench):
    """The commands of the suite as scripts, and a clock to move."""

    def __init__(self, world: VirtualWorld) -> None:
        self._world = world

    def exits(self, code: int) -> str:
        return self._world.script(f"exit {code}", exit_code=code)

    def prints(self, out: str, err: str) -> str:
        says = (Says(f"{out}\n".encode()), Says(f"{err}\n".encode(), kind="stderr"))
        return self._world.script("print", says=says)

    def prints_umask(self) -> None:
        return None

    def lasts(self) -> str:
        return self._world.script("last", lasts_s=NEVER, says=READY)

    def lasts_with_child(self, *, leaves_group: bool) -> str:
        return self._with_child("last with child", leaves_group, lasts_s=NEVER)

    def lasts_with_disowned_child(self) -> str:
        ready = self._world.host.script_of(self.lasts())
        child = Child(script=ready, leaves_group=True, disowns=True)
        return self._world.script("last with stranger", lasts_s=NEVER, children=(child,))

    def ends_before_child(self, *, leaves_group: bool) -> str:
        return self._with_child("end before child", leaves_group, lasts_s=0)

    def refused(self) -> Mapping[str, Any]:
        return {"command": self._world.script("refused", refused="not today")}

    def unknowable(self, processes: ProcessControl) -> ProcessIdentity:
        assert isinstance(processes, VirtualProcessControl)
        processes.hides.add(processes.program.identity)
        return processes.program.identity

    def forbidden(self, processes: ProcessControl) -> ProcessIdentity:
        assert isinstance(processes, VirtualProcessControl)
        stranger = self._world.host.add(Script(lasts_s=NEVER), parent=1)
        processes.forbids.add(stranger.identity)
        return stranger.identity

    def until(self, holds: Callable[[], bool], what: str) -> None:
        for _ in range(100):
            self._world.host.settle()
            if holds():
                return
            self._world.clock.move_to(self._world.clock.monotonic() + 0.1)
        raise AssertionError(f"it never came about that {what}")

    def _with_child(self, command: str, leaves_group: bool, lasts_s: float) -> str:
        ready = self._world.host.script_of(self.lasts())
        child = Child(script=ready, leaves_group=leaves_group)
        return self._world.script(command, lasts_s=lasts_s, children=(child,))


class TestPosixProcessControl(ProcessControlSuite):
    @pytest.fixture
    def processes(self) -> ProcessControl:
        return PosixProcessControl()


class TestVirtualProcessControl(ProcessControlSuite):
    watches = True

    @pytest.fixture
    def world(self) -> Iterator[VirtualWorld]:
        with VirtualWorld() as world:
            yield world

    @pytest.fixture
    def processes(self, world: VirtualWorld) -> ProcessControl:
        return VirtualProcessControl(world.host, watches=self.watches)

    @pytest.fixture
    def bench(self, world: VirtualWorld) -> Bench:
        return ScriptedBench(world)


class TestVirtualProcessControlWithoutDescriptors(TestVirtualProcessControl):
    watches = False
