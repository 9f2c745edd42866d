"""In-graph preprocessing, export and prediction."""
