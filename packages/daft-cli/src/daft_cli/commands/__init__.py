"""The verbs: one module each, loaded when it is called."""
