"""Specifications of studies: frozen models of plain data, read from YAML and validated as a whole."""
