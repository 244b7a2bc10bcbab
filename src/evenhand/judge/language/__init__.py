"""Judgements of generated texts and of likelihoods of answer options."""
