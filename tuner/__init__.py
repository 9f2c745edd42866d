"""Hyperparameter search over the model families of spine_tf with Keras Tuner."""
