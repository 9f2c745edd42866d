"""Classifiers of lumbar degeneration from RSNA 2024 MRI: convert, train, measure, serve."""

__version__ = "0.1.0"
