"""A stacker: one answer to a level from what runs said of it out of fold."""
