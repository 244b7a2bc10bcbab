"""The folders of studies and runs: their files, and the status that these files record."""
