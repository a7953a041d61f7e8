"""Data: sources of examples, their splits and transforms."""
