"""Training steps of the paper's models on one GPU, by evenhand's own loop."""
