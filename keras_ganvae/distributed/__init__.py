"""Replicas and workers: placement, a replica's part of a batch, and patches for Keras."""
