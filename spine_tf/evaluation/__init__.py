"""One evaluation from end to end: predictions of held-out crops, controls, the report."""
