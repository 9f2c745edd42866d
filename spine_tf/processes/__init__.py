"""Processes: a worker pool, one isolated call, the end with the parent, locks. No TensorFlow."""
