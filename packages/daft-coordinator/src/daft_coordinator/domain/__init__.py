"""The functional core: decisions from snapshots. Nothing in here touches the world."""
