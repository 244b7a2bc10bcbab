"""YAML 1.2 and plain data as trees of values with locations."""
