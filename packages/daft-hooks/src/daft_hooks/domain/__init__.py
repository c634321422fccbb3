"""The functional core: from configuration and facts to a plan. Nothing in here does I/O."""
