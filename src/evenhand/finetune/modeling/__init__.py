"""Base models: loading, copying for a run, adaptation, and saving."""
