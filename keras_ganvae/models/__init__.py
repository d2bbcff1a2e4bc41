"""The two kinds of model, and their optimizer.

Importing this package registers their classes with Keras, which needs that to load model.keras.
"""

from keras_ganvae.models.adam import FusedAdam
from keras_ganvae.models.adversarial import AdversarialNetwork
from keras_ganvae.models.layers import DepthToSpace, Dropout
from keras_ganvae.models.variational import VariationalAutoencoder

__all__ = ["AdversarialNetwork", "DepthToSpace", "Dropout", "FusedAdam", "VariationalAutoencoder"]
