"""Tables of predictions: their columns resolved, their rows checked, arms and runs aligned."""
