"""The contract between producers and judges: schemas, reading, checking and grouping of tables."""
