"""Points from pixels: heatmaps decoded, discs numbered, points projected, doubts said."""
