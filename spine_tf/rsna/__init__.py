"""The layout of the RSNA 2024 lumbar spine data: CSVs, DICOM, crops, folds. No TensorFlow."""
