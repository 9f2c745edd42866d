"""A run directory: its files, and what is loaded from it to predict with."""
