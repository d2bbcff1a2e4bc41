"""The parts of a global batch, and of its noise, that replicas get."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganvae.data.pipeline import bounds
from keras_ganvae.distributed.batch import ReplicaBatch, replica_count


def parts_of(images, replicas):
    """The `ReplicaBatch` of each replica."""
    size = len(images)
    spans = [bounds(size, index, replicas) for index in range(replicas)]
    return [
        ReplicaBatch(images[first:end], size, index, replicas)
        for index, (first, end) in enumerate(spans)
    ]


def seed_generator(*state):
    generator = keras.random.SeedGenerator(0)
    generator.state.assign(np.array(state, np.int64))
    return generator


@pytest.mark.parametrize("draw", ["normal", "uniform"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 2)], ids=str)
@pytest.mark.parametrize(("size", "replicas"), [(8, 2), (7, 3), (1, 2), (13, 5)])
def test_replicas_together_draw_the_noise_of_one_device(draw, shape, size, replicas):
    def noise(batch):
        return getattr(batch, draw)(shape, seed_generator(11, 5)).numpy()

    images = tf.zeros((size, 2, 2, 1))
    one = noise(ReplicaBatch(images, size))
    assert one.shape == (size, *shape)
    several = np.concatenate([noise(part) for part in parts_of(images, replicas)])
    np.testing.assert_array_equal(several, one)


@pytest.mark.parametrize("state", [(2**31 - 1, 0), (0, 2**31 - 1), (3, 2**31)], ids=str)
def test_the_noise_is_the_same_for_any_seed(state):
    images = tf.zeros((9, 2, 2, 1))
    one = ReplicaBatch(images, 9).normal((3,), seed_generator(*state))
    several = [part.normal((3,), seed_generator(*state)) for part in parts_of(images, 2)]
    np.testing.assert_array_equal(np.concatenate(several), one)


def test_each_draw_advances_the_seed():
    for batch in parts_of(tf.zeros((4, 2, 2, 1)), 2):
        seed = seed_generator(1, 0)
        first, second = (np.asarray(batch.normal((3,), seed)) for _ in range(2))
        assert not np.array_equal(first, second)


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("size", [0, 1, 2, 5, 64, 129])
def test_parts_are_adjacent_and_differ_by_at_most_one_image(size, parts):
    found = [bounds(size, i, parts) for i in range(parts)]
    assert found[0][0] == 0 and found[-1][1] == size
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    lengths = [end - first for first, end in found]
    assert max(lengths) - min(lengths) <= 1


def test_on_one_device_the_part_is_the_batch():
    assert replica_count() == 1
    images = tf.zeros((6, 4, 4, 1))
    batch = ReplicaBatch.of(images)
    assert batch.images is images and int(batch.total) == 6
    assert float(batch.mean(tf.range(6.0))) == 2.5
    tensors = [tf.ones(3), tf.constant(4.0)]
    assert batch.all_reduce(tensors) is tensors


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_the_terms_of_all_replicas_sum_to_the_mean(replicas):
    values = np.float32([3, 1, 4, 1, 5, 9, 2])
    parts = parts_of(tf.constant(values), replicas)
    assert sum(float(part.mean(part.images)) for part in parts) == pytest.approx(values.mean())


@pytest.mark.parametrize("size", [1, 2, 7, 8])
@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_every_nth_image_of_the_global_batch_is_on_one_replica(size, replicas):
    found = []
    for part in parts_of(tf.range(size), replicas):
        images, total = part.every(3)
        assert int(total) == len(range(0, size, 3))
        found += list(images.numpy())
    assert found == list(range(0, size, 3))
