"""Worker processes that train, and the schedule of their runs."""
