"""Data sets: a spec such as `mnist`, `folder:DIR` or `synthetic` becomes a `Dataset`."""

from keras_ganvae.data.catalogue import Available, available
from keras_ganvae.data.dataset import Dataset, Split, load

__all__ = ["Available", "Dataset", "Split", "available", "load"]
