"""The RSNA layout on disk: CSVs, a folder or a zip of images, folds. No TensorFlow."""
