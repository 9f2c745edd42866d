"""The configuration of a run: frozen dataclasses, JSON, settings by name. No TensorFlow."""
