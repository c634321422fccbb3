"""A hardened SQLite store for durable jobs: bring-up, migrations, guarded transitions."""

__version__ = "0.1.0"
