"""The GAN's objective, its simultaneous steps, and the EMA of its generator."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganvae import architectures

CASES = [
    (arch, preset)
    for arch in architectures.names()
    if architectures.kind_of(arch) == "adversarial"
    for preset in ("default", "paper")
]
OTHER = {"generator": "discriminator", "discriminator": "generator"}


@pytest.fixture
def fixed_noise(monkeypatch):
    """`fixed_noise(latents)`: from then on, every draw of noise is the first of these latents."""

    def fix(latents):
        monkeypatch.setattr(tf.random, "stateless_normal", lambda shape, **_: latents[: shape[0]])
        return latents

    return fix


def _real(digits, count=16):
    return tf.constant(digits[:count], tf.float32) / 255


def _latents(model, count=16):
    draws = np.random.default_rng(7).standard_normal((count, model.latent_dim))
    return tf.constant(draws, tf.float32)


def _copy(network):
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def _equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def _values(variables):
    return [np.array(variable) for variable in variables]


@pytest.mark.parametrize("updated", OTHER)
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_one_networks_update_leaves_the_other_untouched(make_model, digits, case, updated):
    """The other's learning rate is zero; batch-norm statistics are checked elsewhere."""
    other = OTHER[updated]
    model = make_model(*case, rates={f"{other}_optimizer": 0.0})
    weights = getattr(model, updated).trainable_variables
    still = getattr(model, other).trainable_variables
    before = _values(weights), _values(still)
    model.train_step(_real(digits))
    assert _equal(_values(still), before[1])
    changed = [not np.array_equal(a, b) for a, b in zip(_values(weights), before[0], strict=True)]
    assert np.mean(changed) > 0.8


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_each_network_descends_its_own_loss(make_model, digits, fixed_noise, case):
    """A step of plain SGD is minus the learning rate times the gradient of that network's loss."""
    model = make_model(
        *case, optimizer="sgd", learning_rate=0.5, dropout=False, gradient_penalty=0.0
    )
    latents, real = fixed_noise(_latents(model)), _real(digits)
    twins = [_copy(network) for network in model.networks]
    generator, discriminator = twins
    model.train_step(real)
    with tf.GradientTape(persistent=True) as tape:
        fake = generator(latents, training=True)
        real_logits = discriminator(real, training=True)
        fake_logits = discriminator(fake, training=True)
        log_sigmoid = tf.math.log_sigmoid
        g_loss = -tf.reduce_mean(log_sigmoid(fake_logits))
        d_loss = -tf.reduce_mean(log_sigmoid(real_logits) + log_sigmoid(-fake_logits))
    for network, twin, loss in zip(model.networks, twins, (g_loss, d_loss), strict=True):
        gradients = tape.gradient(loss, twin.trainable_variables)
        for weight, old, gradient in zip(
            network.trainable_variables, twin.trainable_variables, gradients, strict=True
        ):
            expected = np.asarray(old) - 0.5 * np.asarray(gradient)
            np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-5)


def test_the_penalty_adds_its_gradient_to_the_discriminators_alone(make_model, digits):
    """Steps of plain SGD with and without R1 differ by R1's gradient at every fourth image.

    The expected gradient comes from forward-mode differentiation along D's own gradient.
    """
    gamma, rate, real = 3.0, 0.5, _real(digits)
    plain, model = (
        make_model("dcgan", optimizer="sgd", learning_rate=rate, gradient_penalty=each)
        for each in (0.0, gamma)
    )
    twin = _copy(model.discriminator)
    for each in (plain, model):
        each.train_step(real)
    assert _equal(plain.generator.get_weights(), model.generator.get_weights())

    chosen = real[::4]
    with tf.GradientTape() as tape:
        tape.watch(chosen)
        logits = twin(chosen)
    slope = tape.gradient(logits, chosen)  # a constant below
    with tf.GradientTape() as tape:
        with tf.autodiff.ForwardAccumulator(chosen, slope) as forward:
            logits = twin(chosen)
        # d/dw |s(w)|^2 = 2 d/dw (s(w) . s) at the s of these weights.
        penalty = gamma / 2 * 2 * tf.reduce_mean(forward.jvp(logits))
    weights = [variable.value for variable in twin.trainable_variables]
    gradients = tape.gradient(penalty, weights, unconnected_gradients="zero")
    with_it, without = (each.discriminator.trainable_variables for each in (model, plain))
    found = np.concatenate([np.ravel(a - b) for a, b in zip(without, with_it, strict=True)])
    wanted = rate * np.concatenate([np.ravel(each) for each in gradients])
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_the_logged_loss_does_not_include_the_penalty(make_model, digits):
    first, second = (
        make_model("dcgan", gradient_penalty=gamma).train_step(_real(digits))
        for gamma in (0.0, 100.0)
    )
    assert float(first["discriminator_loss"]) == float(second["discriminator_loss"])


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_batch_norm_statistics_come_from_one_pass_of_each_batch(
    make_model, digits, fixed_noise, case
):
    """G's come from its latents, D's from the real and the generated images, once each."""
    model = make_model(*case, dropout=False)
    latents, real = fixed_noise(_latents(model)), _real(digits)
    generator, discriminator = (_copy(network) for network in model.networks)
    model.train_step(real)
    fake = generator(latents, training=True)
    discriminator(real, training=True)
    discriminator(fake, training=True)
    for network, twin in zip(model.networks, (generator, discriminator), strict=True):
        pairs = zip(network.non_trainable_variables, twin.non_trainable_variables, strict=True)
        for found, wanted in pairs:
            if "seed" not in found.path:
                np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    if case == ("dcgan", "paper"):
        kinds = [variable.name for variable in model.non_trainable_variables]
        assert kinds.count("moving_mean") == kinds.count("moving_variance") == 4


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_discriminators_loss_falls_against_a_fixed_generator(make_model, digits, case):
    model = make_model(*case, rates={"generator_optimizer": 0.0, "discriminator_optimizer": 1e-3})
    step, real = tf.function(model.train_step), _real(digits, 32)
    for _ in range(25):
        step(real)
    model.reset_metrics()
    for _ in range(3):
        logs = step(real)
    for name in ("real_accuracy", "fake_accuracy", "accuracy"):
        assert float(logs[name]) > 0.9
    assert float(logs["discriminator_loss"]) < 0.7 < float(logs["generator_loss"])


def test_terms_at_logits_known_by_hand(make_model):
    """With a discriminator that returns the mean pixel, on black and white images."""
    model = make_model("gan", "paper")
    real = np.ones((4, 28, 28, 1), np.float32)
    real[3] = 0
    model.discriminator = lambda images, training: 2 * tf.reduce_mean(images, [1, 2])[:, :] - 1
    terms = model.terms(real, np.zeros_like(real), training=False)
    assert {value.shape.as_list()[0] for value in terms.values()} == {4}
    found = {name: float(np.mean(value)) for name, value in terms.items()}
    soft_plus = {logit: np.log1p(np.exp(logit)) for logit in (-1, 1)}
    assert found == pytest.approx(
        {
            "generator_loss": soft_plus[1],
            "discriminator_loss": (3 * soft_plus[-1] + soft_plus[1]) / 4 + soft_plus[-1],
            "real_accuracy": 0.75,
            "fake_accuracy": 1.0,
            "accuracy": 0.875,
        }
    )


@pytest.mark.parametrize("fitting", [True, False])
def test_epoch_means_weight_a_partial_batch_by_its_images(make_model, digits, fixed_noise, fitting):
    rates = {"generator_optimizer": 0.0, "discriminator_optimizer": 0.0}
    model = make_model("gan", "paper", rates=rates, dropout=False)
    # The last images differ from the others, so that an unweighted mean would be wrong.
    x = np.concatenate([digits[:20], 255 - digits[20:24]]).astype(np.float32) / 255
    latents = fixed_noise(tf.zeros((24, model.latent_dim)))
    terms = model.terms(x, model.generator(latents, training=False), training=False)
    expected = {name: float(np.mean(value)) for name, value in terms.items()}
    batches = tf.data.Dataset.from_tensor_slices(x).batch(20)
    if fitting:
        history = model.fit(batches, epochs=1, shuffle=False, verbose=0).history
        found = {name: values[0] for name, values in history.items()}
    else:
        found = model.evaluate(batches, verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_validating_changes_no_weights(make_model, digits, case):
    model = make_model(*case)
    before = model.get_weights()
    model.test_step(_real(digits))
    assert _equal(model.get_weights(), before)


def test_validation_noise_leaves_the_training_noise_alone(make_model, digits):
    """Validating, however often, does not change what the model learns."""

    def weights(validations):
        model = make_model("gan")
        for _ in range(validations):
            model.test_step(_real(digits))
        model.train_step(_real(digits))
        return model.get_weights()

    assert _equal(weights(0), weights(3))


# The decay rises to its limit: after the first step it is (1 + 1) / (10 + 1).
@pytest.mark.parametrize(("limit", "decay"), [(0.1, 0.1), (0.75, 2 / 11)])
def test_images_are_sampled_from_the_ema(make_model, digits, limit, decay):
    model = make_model("gan", average_decay=limit)
    averaged, generator = model.averaged_generator, model.generator
    assert _equal(averaged.get_weights(), generator.get_weights())
    before = averaged.get_weights()
    model.train_step(_real(digits))
    for old, new, average in zip(
        before, generator.get_weights(), averaged.get_weights(), strict=True
    ):
        expected = decay * old + (1 - decay) * new
        np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-6)
    z = _latents(model)
    np.testing.assert_array_equal(model.decode(z), averaged(z, training=False))
    assert not np.array_equal(model.decode(z), generator(z, training=False))
    assert averaged.trainable_variables == []


def test_without_an_ema_images_are_sampled_from_the_generator(make_model):
    model = make_model("gan", average_decay=0.0)
    z = _latents(model)
    np.testing.assert_array_equal(model.decode(z), model.generator(z, training=False))


def test_the_saturating_loss_can_be_chosen(make_model, digits):
    logs = [
        make_model("gan", "paper", generator_loss=name).train_step(_real(digits))
        for name in ("non_saturating", "saturating")
    ]
    first, second = (float(each["generator_loss"]) for each in logs)
    assert second < 0 < first
