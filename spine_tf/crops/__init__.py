"""Regions of interest: the formula, the crop, the record's fields. No TensorFlow."""
