"""A hardened SQLite store for durable jobs: bring-up, migrations, guarded transitions.

Names load on first use: `listing` is on the way of a shell prompt and must not pay for attrs.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .bringup import open_reader, open_writer, set_aside_corrupt
    from .errors import StoreError
    from .identity import ensure_repository_id, read_repository_id
    from .migrations import Lineage, Step
    from .places import RepositoryPlaces
    from .redaction import scrub
    from .roots import config_root, data_root, state_root
    from .rows import CoordinatorRow, InvocationRow, JobMove, JobRow, SkippedFireRow, TrustRow
    from .schema.catalog import LINEAGE as CATALOG
    from .schema.coordinator import LINEAGE as COORDINATOR
    from .schema.registry import LINEAGE as REGISTRY
    from .transactions import writing

__version__ = "0.1.0"

_HOME_OF = {
    "CATALOG": ("schema.catalog", "LINEAGE"),
    "COORDINATOR": ("schema.coordinator", "LINEAGE"),
    "CoordinatorRow": ("rows", "CoordinatorRow"),
    "InvocationRow": ("rows", "InvocationRow"),
    "JobMove": ("rows", "JobMove"),
    "JobRow": ("rows", "JobRow"),
    "Lineage": ("migrations", "Lineage"),
    "REGISTRY": ("schema.registry", "LINEAGE"),
    "RepositoryPlaces": ("places", "RepositoryPlaces"),
    "Step": ("migrations", "Step"),
    "SkippedFireRow": ("rows", "SkippedFireRow"),
    "StoreError": ("errors", "StoreError"),
    "TrustRow": ("rows", "TrustRow"),
    "config_root": ("roots", "config_root"),
    "data_root": ("roots", "data_root"),
    "ensure_repository_id": ("identity", "ensure_repository_id"),
    "open_reader": ("bringup", "open_reader"),
    "open_writer": ("bringup", "open_writer"),
    "read_repository_id": ("identity", "read_repository_id"),
    "scrub": ("redaction", "scrub"),
    "set_aside_corrupt": ("bringup", "set_aside_corrupt"),
    "state_root": ("roots", "state_root"),
    "writing": ("transactions", "writing"),
}

__all__ = [
    "CATALOG",
    "COORDINATOR",
    "REGISTRY",
    "CoordinatorRow",
    "InvocationRow",
    "JobMove",
    "JobRow",
    "Lineage",
    "RepositoryPlaces",
    "SkippedFireRow",
    "Step",
    "StoreError",
    "TrustRow",
    "config_root",
    "data_root",
    "ensure_repository_id",
    "open_reader",
    "open_writer",
    "read_repository_id",
    "scrub",
    "set_aside_corrupt",
    "state_root",
    "writing",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOME_OF[name]
    return getattr(import_module(f".{module}", __name__), attribute)
