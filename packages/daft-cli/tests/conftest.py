from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def own_directories(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep what a test takes up out of the catalog of whoever runs the tests."""
    monkeypatch.setenv("DAFT_DATA_DIR", str(tmp_path_factory.mktemp("data")))
