"""Rows as tensors: tokens, pixels or frozen features, in batches."""
