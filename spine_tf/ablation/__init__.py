"""One change at a time from a base, measured out of fold and in pairs. No TensorFlow."""
