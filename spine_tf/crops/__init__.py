"""Regions of interest: the formula, crops one by one or in batches, the record. No TensorFlow."""
