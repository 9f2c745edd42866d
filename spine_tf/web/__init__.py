"""A local page and an HTTP interface over a study reader, within bounds. No TensorFlow."""
