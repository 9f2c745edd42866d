"""Augmentation, losses, schedules and the training loop."""
