"""A study as it was read: its points, its grades, what is doubtful, and the page of it. No TF."""
