"""Predictions, translations, likelihoods and signals of a trained model, and the tables that hold them."""
