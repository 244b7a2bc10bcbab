"""The size and cost of jobs, counted on models without weights, and tiny stand-ins for smoke tests."""
