"""The processes that train, and which run each of them does."""
