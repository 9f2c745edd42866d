"""An export and what it answers: graph, formats, golden answers, check; readings of studies."""
