"""The steps by which each kind of file came to its present form."""
