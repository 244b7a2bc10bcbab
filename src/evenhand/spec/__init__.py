"""What to do: frozen models of plain data, read from YAML, judged all at once."""
