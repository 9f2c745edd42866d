"""What every page and picture is drawn with: template, style, charts. No TensorFlow."""
