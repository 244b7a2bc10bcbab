"""One file for each section of a study file."""
