"""Data sets: load a `Dataset` from a spec such as `mnist`, `folder:DIR` or `synthetic`."""

from keras_ganvae.data.catalogue import Available, available
from keras_ganvae.data.dataset import Dataset, load
from keras_ganvae.data.splits import Split

__all__ = ["Available", "Dataset", "Split", "available", "load"]
