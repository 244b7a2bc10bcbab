"""Prompts of likelihood tables: their permuted forms, the options they choose, and how contexts cross."""
