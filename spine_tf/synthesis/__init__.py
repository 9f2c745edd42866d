"""Synthetic lumbar spine studies in the RSNA layout, with a known best score. No TensorFlow."""
