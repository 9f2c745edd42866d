"""One DICOM file: its header, its pixels, its place in the patient. No TensorFlow."""
