"""Finds labels that are probably wrong, cures training of them, and splits the Moderate class."""
