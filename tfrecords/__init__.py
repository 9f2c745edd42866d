"""Sharded TFRecords of labelled image crops, on disk and as tf.data."""
