"""Files of every released schema open for ever, and nothing in them is lost."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from daft_store import COORDINATOR, ledger, listing, open_reader, open_writer

FILES = sorted((Path(__file__).parent / "compat").glob("coordinator-*.sql"))
REPO = "00000000-0000-7000-8000-000000000000"


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    folder = tmp_path / "store"
    folder.mkdir(mode=0o700)
    path = str(folder / "coordinator.db")
    db = apsw.Connection(path)
    for _ in db.execute(request.param.read_text(encoding="utf-8")):
        pass
    db.close()
    return path


def test_there_is_a_file_of_every_schema_before_the_present_one() -> None:
    assert [file.stem for file in FILES] == [
        f"coordinator-{version}" for version in range(1, COORDINATOR.version)
    ]


def test_a_writer_brings_it_up_to_date_and_keeps_its_rows(old: str) -> None:
    db = open_writer(old, COORDINATOR)

    assert db.pragma("user_version") == COORDINATOR.version
    found = {job.name: job.status for job in ledger.jobs_of_invocation(db, REPO, f"{1:016x}")}
    assert found == {"built": "queued", "failed": "failed"}
    db.close()


def test_readers_show_it_as_it_is(old: str) -> None:
    db = open_reader(old, COORDINATOR)
    assert db is not None
    version = db.pragma("user_version")
    assert ledger.get_invocation(db, REPO, f"{1:016x}") is not None
    db.close()

    quick = listing.open_listing(old)
    assert quick is not None
    assert [row[0] for row in listing.newest_invocations(quick, REPO)] == [f"{1:016x}"]
    assert quick.pragma("user_version") == version
    quick.close()
