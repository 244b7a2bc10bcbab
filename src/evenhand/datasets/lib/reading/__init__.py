"""Files of datasets: located, fetched, and read as columns."""
