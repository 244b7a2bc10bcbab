"""Inputs of models: tokens, pixels or frozen features as tensors, in batches."""
