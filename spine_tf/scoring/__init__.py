"""Predictions and their figures: metrics, intervals, calibration, comparison. No TensorFlow."""
