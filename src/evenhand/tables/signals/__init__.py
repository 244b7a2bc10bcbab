"""Tables of signals for membership inference: losses and margins of rows that were partly trained on."""
