from __future__ import annotations

from collections.abc import Iterator

import pytest

from daft_coordinator.testing import VirtualWorld


@pytest.fixture
def world() -> Iterator[VirtualWorld]:
    with VirtualWorld() as made:
        yield made
