"""What the tables say: rates, disparities, comparisons and verdicts. No torch, and scipy only late."""
