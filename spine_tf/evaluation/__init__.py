"""Metrics with intervals, calibration, figures and the report."""
