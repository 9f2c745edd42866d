"""The report's experiment, repeated, and its table."""
