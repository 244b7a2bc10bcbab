"""Coverage, false alarms, width and power of the audit's intervals in worlds whose truth is known."""
