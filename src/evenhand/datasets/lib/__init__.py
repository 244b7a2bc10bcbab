"""Parts that several datasets share."""
