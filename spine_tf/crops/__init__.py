"""Regions of interest: the formula, crops and windows of stacks, the record. No TensorFlow."""
