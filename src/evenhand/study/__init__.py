"""Studies: planning their runs, training them in worker processes, and judging the results."""
