"""Experiments over whole runs: the report's table, and controls that train."""
