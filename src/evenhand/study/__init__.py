"""Studies: what is to be run, who runs it, and what comes out."""
