"""Any pile of DICOM files: the series of lumbar MRI in it, found and named. No TensorFlow."""
