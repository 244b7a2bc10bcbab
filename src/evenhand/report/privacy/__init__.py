"""The page, section and terminal summary of membership inference."""
