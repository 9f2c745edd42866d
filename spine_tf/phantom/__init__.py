"""Synthetic lumbar spine studies in the layout of the RSNA 2024 data. No TensorFlow."""
