import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_ganvae.data.pipeline import bounds
from keras_ganvae.distributed import batch as replicas
from keras_ganvae.models.base import GlobalMean

WHOLE = {
    tf.raw_ops.StatelessRandomNormalV2: tf.random.stateless_normal,
    tf.raw_ops.StatelessRandomUniformV2: tf.random.stateless_uniform,
}


@pytest.mark.parametrize("part", WHOLE, ids=["normal", "uniform"])
@pytest.mark.parametrize(("start", "length"), [(0, 96), (3, 10), (4, 8), (45, 51), (95, 1), (7, 0)])
def test_a_part_of_a_draw_is_that_part_of_the_whole(part, start, length):
    seed = [11, 5]
    whole = WHOLE[part]([96], seed=seed).numpy()
    found = replicas._from(start, length, seed, part).numpy()
    np.testing.assert_array_equal(found, whole[start : start + length])


@pytest.mark.parametrize("seed", [[2**31 - 1, 0], [0, 2**31 - 1], [3, 2**31]])
def test_any_seed_gives_the_part_too(seed):
    whole = tf.random.stateless_normal([40], seed=tf.cast(seed, tf.int32)).numpy()
    found = replicas._from(13, 9, seed, tf.raw_ops.StatelessRandomNormalV2)
    np.testing.assert_array_equal(found, whole[13:22])


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("size", [0, 1, 2, 5, 64, 129])
def test_shares_meet_and_differ_by_one_image_at_most(size, parts):
    found = [bounds(size, i, parts) for i in range(parts)]
    assert found[0][0] == 0 and found[-1][1] == size
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    lengths = [end - first for first, end in found]
    assert max(lengths) - min(lengths) <= 1


def test_on_one_device_the_share_is_the_batch():
    images = tf.zeros((6, 4, 4, 1))
    share = replicas.Share(images)
    assert share.images is images and int(share.total) == 6
    assert float(share.mean(tf.range(6.0))) == 2.5
    tensors = [tf.ones(3), tf.constant(4.0)]
    assert share.sums(tensors) is tensors


@pytest.mark.parametrize("size", [1, 2, 7, 8])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_every_nth_image_of_the_batch_is_on_one_replica(monkeypatch, size, parts):
    images, found = tf.range(size), []
    for part in range(parts):
        first, end = replicas.bounds(size, part, parts)
        monkeypatch.setattr(replicas, "count", lambda: parts)
        share = replicas.Share((images[first:end], size) if parts > 1 else images)
        share._bounds = lambda here=(first, end): here
        chosen, total = share.every(3)
        assert int(total) == len(range(0, size, 3))
        found += list(chosen.numpy())
    assert found == list(range(0, size, 3))


def test_a_mean_weighs_values_by_their_images():
    mean = GlobalMean("loss")
    mean.update_state(1.0, sample_weight=3)
    mean.update_state(5.0, sample_weight=1)
    assert float(mean.result()) == 2.0
    mean.reset_state()
    assert float(mean.result()) == 0.0


def _trained(model):
    return [weight.numpy() for weight in model.trainable_variables]


@pytest.mark.parametrize("arch", ["gan", "vae"])
def test_an_overflow_in_float16_skips_the_step_and_halves_the_scale(make_model, digits, arch):
    import keras

    x = tf.constant(digits[:8], tf.float32) / 255
    try:
        model = make_model(arch, precision="float16")
        for optimizer in model.optimizers:
            optimizer.dynamic_scale.assign(2.0**40)
        before = _trained(model)
        model.train_step(x)
        for optimizer in model.optimizers:
            assert float(optimizer.dynamic_scale) == 2.0**39
            assert int(optimizer.iterations) == 0
        for old, new in zip(before, _trained(model), strict=True):
            np.testing.assert_array_equal(old, new)
        for _ in range(40):
            model.train_step(x)
        assert all(int(optimizer.iterations) > 0 for optimizer in model.optimizers)
        assert all(np.isfinite(weight).all() for weight in model.get_weights())
        assert any((a != b).any() for a, b in zip(before, _trained(model), strict=True))
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_batch_norm_keeps_its_statistics_in_float32(make_model, precision):
    import keras

    try:
        model = make_model("dcgan", precision=precision)
        norms = [
            x for x in model.generator.layers if isinstance(x, keras.layers.BatchNormalization)
        ]
        assert norms
        for norm in norms:
            assert norm.compute_dtype == precision
            kept = (norm.moving_mean, norm.moving_variance)
            assert {keras.backend.standardize_dtype(each.dtype) for each in kept} == {"float32"}
    finally:
        keras.config.set_dtype_policy("float32")
