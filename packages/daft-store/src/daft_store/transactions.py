"""Write transactions: immediate, so that two writers queue up instead of failing half way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import apsw


@contextmanager
def writing(db: apsw.Connection) -> Iterator[None]:
    """Run the body as one transaction; inside another one it becomes part of that.

    An exception undoes all of it and goes on.
    """
    if not db.get_autocommit():
        yield
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # A failed COMMIT may have ended the transaction by itself.
        if not db.get_autocommit():
            db.execute("ROLLBACK")
        raise
