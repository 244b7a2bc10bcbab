"""What finished runs say: collected, chosen among trials, attacked, judged."""
