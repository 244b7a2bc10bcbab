"""Results of finished runs: collect them, choose among trials, attack, judge."""
