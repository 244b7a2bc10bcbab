"""Statements about more than two arms: contrasts, trends along an option, group sizes."""
