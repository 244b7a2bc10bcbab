"""Reports of results: wording, charts, HTML pages, terminal summaries, and files for machines."""
