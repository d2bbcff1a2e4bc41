"""A run on disk: config, history, checkpoints, lock. TensorFlow loads only with a model."""
