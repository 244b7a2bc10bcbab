"""Sections of a study file, one module each."""
