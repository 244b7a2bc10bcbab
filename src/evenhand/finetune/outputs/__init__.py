"""Outputs of a trained model (predictions, translations, likelihoods, signals), and their tables."""
