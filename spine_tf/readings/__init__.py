"""A study as it was read: points, grades, what is doubtful, and the page of it. No TensorFlow."""
