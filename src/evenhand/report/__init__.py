"""What a result says, for people: wording, charts, the page, the terminal, and the files for machines."""
