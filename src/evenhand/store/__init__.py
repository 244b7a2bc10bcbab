"""Where a study's files are, and what they say of its runs: the folders are the ledger."""
