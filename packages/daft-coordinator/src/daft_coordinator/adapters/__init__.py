"""Where ports meet the world: processes, clock, rows."""
