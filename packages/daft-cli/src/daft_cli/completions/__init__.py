"""Completion scripts for shells, made from the parsers. Read `vocabulary` first."""

SHELLS = ("bash", "zsh", "fish")
