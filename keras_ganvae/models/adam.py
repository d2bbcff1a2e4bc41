"""Adam with one fused update for each weight."""

import keras
import tensorflow as tf
from keras import ops

from keras_ganvae.equations import Tensor


@keras.saving.register_keras_serializable("keras_ganvae")
class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`, with TensorFlow's kernel for a weight and its two moments.

    Keras's update takes about ten passes over the memory of each weight, the kernel one. The
    results are equal up to rounding. Gradients are dense; `amsgrad` is not supported.
    """

    def update_step(self, gradient: Tensor, variable: tf.Variable, learning_rate: Tensor) -> None:
        """Update a float32 weight and its moments (Kingma and Ba 2015, section 2)."""
        index = self._get_variable_index(variable)
        step = ops.cast(self.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=ops.power(self.beta_1, step),
            beta2_power=ops.power(self.beta_2, step),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
