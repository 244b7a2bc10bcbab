"""Plans: what decides a comparison that is undecided, and how many runs and rows a study needs."""
