"""Tasks, phases, losses and the training loop: from records to a finished run."""
