"""Options, outputs and helpers that several commands share."""
