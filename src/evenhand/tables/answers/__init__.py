"""Tables of language models: generated texts and likelihoods of answer options."""
