"""Finds errors in a data set of the RSNA layout. No TensorFlow."""
