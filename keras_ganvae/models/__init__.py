"""The two kinds of model.

Importing this package registers their classes with Keras, which needs that to load model.keras.
"""

from keras_ganvae.models.adversarial import AdversarialNetwork
from keras_ganvae.models.layers import DepthToSpace
from keras_ganvae.models.variational import VariationalAutoencoder

__all__ = ["AdversarialNetwork", "DepthToSpace", "VariationalAutoencoder"]
