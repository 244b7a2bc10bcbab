"""Base models: found and read, copied for a run, adapted, and saved."""
