"""The store: mirror, wanted, ledger, plan, suppressions, runs. One code path for SQLite and PostgreSQL."""

from listbridge.store.open import Store, open_store

__all__ = ["Store", "open_store"]
