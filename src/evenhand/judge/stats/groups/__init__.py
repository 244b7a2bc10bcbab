"""Statements on many groups at once: how many of them differ, and what each says of the others."""
