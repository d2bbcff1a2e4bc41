"""The two kinds of model. Importing this registers them, so that Keras can load model.keras."""

from keras_ganvae.models.adversarial import AdversarialNetwork
from keras_ganvae.models.layers import DepthToSpace
from keras_ganvae.models.variational import VariationalAutoencoder

__all__ = ["AdversarialNetwork", "DepthToSpace", "VariationalAutoencoder"]
