"""Sections on generated texts and on likelihoods of answer options."""
