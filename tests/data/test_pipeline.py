import itertools

import numpy as np
import pytest

from keras_ganvae.data.lazy_images import LazyImages
from keras_ganvae.data.pipeline import (
    MAX_BLOCK_BYTES,
    Feed,
    Position,
    Replicas,
    batches,
    steps_per_epoch,
    training_batches,
)

COUNT, BATCH = 23, 5
STEPS = 5


@pytest.fixture(scope="module")
def numbered():
    """uint8 images whose first pixel is their number."""
    pixels = np.zeros((COUNT, 4, 6, 3), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(COUNT)
    pixels[:, 1, 1, 1] = 255
    return pixels


def _numbers(batch):
    return np.rint(np.asarray(batch)[:, 0, 0, 0] * 255).astype(int).tolist()


def _order(images, steps, seed, **start):
    """The numbers of the images in the next batches, one list per batch."""
    endless = training_batches(images, BATCH, seed=seed, start=Position(**start))
    return [_numbers(batch) for batch in itertools.islice(endless, steps)]


@pytest.mark.parametrize(
    ("images", "batch_size", "expected"), [(23, 5, 5), (25, 5, 5), (26, 5, 6), (1, 9, 1)]
)
def test_steps_per_epoch(images, batch_size, expected):
    assert steps_per_epoch(images, batch_size) == expected


def test_each_image_is_used_once_per_epoch(numbered):
    order = _order(numbered, 3 * STEPS, seed=1)
    assert [len(batch) for batch in order] == [5, 5, 5, 5, 3] * 3
    numbers = list(itertools.chain.from_iterable(order))
    epochs = [numbers[i : i + COUNT] for i in range(0, 3 * COUNT, COUNT)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(COUNT)) and epoch != list(range(COUNT))
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_the_order_is_a_function_of_seed_and_epoch(numbered):
    assert _order(numbered, STEPS, seed=1) == _order(numbered, STEPS, seed=1)
    assert _order(numbered, STEPS, seed=1) != _order(numbered, STEPS, seed=2)
    # Not a function of their sum: epoch 1 of seed 1 differs from epoch 0 of seed 2.
    assert _order(numbered, STEPS, seed=1, epoch=1) != _order(numbered, STEPS, seed=2)


@pytest.mark.parametrize(
    ("epoch", "step"), [(0, 0), (0, 3), (1, 0), (1, 4), (2, 1), (0, STEPS), (2, STEPS)]
)
def test_a_resumed_run_gets_the_same_batches(numbered, epoch, step):
    """The position after the last step of an epoch is the start of the next."""
    uninterrupted = _order(numbered, 5 * STEPS, seed=7)
    begin = epoch * STEPS + step
    assert _order(numbered, 6, seed=7, epoch=epoch, step=step) == uninterrupted[begin : begin + 6]


def test_the_largest_seed_works(numbered):
    assert len(_order(numbered, 1, seed=2**31 - 1)[0]) == BATCH


def test_pixels_are_float32_from_zero_to_one(numbered):
    endless = training_batches(numbered, BATCH, seed=0, start=Position())
    for made in (batches(numbered, BATCH), endless):
        batch = next(iter(made)).numpy()
        assert batch.shape == (BATCH, 4, 6, 3) and batch.dtype == np.float32
        assert batch.min() == 0 and batch.max() == 1
        assert made.element_spec.shape.as_list() == [None, 4, 6, 3]


def test_validation_is_every_image_in_order(numbered):
    made = batches(numbered, BATCH)
    assert int(made.cardinality()) == STEPS
    found = np.concatenate([batch.numpy() for batch in made])
    np.testing.assert_array_equal(found, numbered.astype(np.float32) / 255)


@pytest.mark.parametrize(("workers", "local"), [(1, 2), (2, 1), (3, 1), (2, 3), (7, 1)])
def test_the_slices_of_all_replicas_are_the_batches_of_one_device(numbered, workers, local):
    total = workers * local
    feeds = [
        iter(
            training_batches(
                numbered,
                BATCH,
                seed=3,
                start=Position(0, 2),
                replicas=Replicas(total, worker * local, local),
            )
        )
        for worker in range(workers)
    ]
    for expected in _order(numbered, 2 * STEPS, seed=3, step=2):
        slices = [next(feed) for feed in feeds for _ in range(local)]
        assert [int(size) for _, size in slices] == [len(expected)] * total
        assert [n for images, _ in slices for n in _numbers(images)] == expected


def test_validation_of_replicas_ends_with_its_last_batch(numbered):
    feeds = [batches(numbered, BATCH, Replicas(2, worker, 1)) for worker in range(2)]
    slices = [list(feed) for feed in feeds]
    assert [len(each) for each in slices] == [STEPS, STEPS]
    pairs = zip(*slices, strict=True)
    assert [n for pair in pairs for images, _ in pair for n in _numbers(images)] == list(
        range(COUNT)
    )


class Fetched(LazyImages):
    """Images that are fetched when they are needed."""

    def __init__(self, images):
        super().__init__(len(images), images.shape[1:])
        self.images = images

    def fetch(self, rows):
        return self.images[rows]


def _executions(feed, blocks, replicas=1):
    """The batches of each execution, as lists of numbers; the elements of replicas in turn."""
    constant, found, current = feed.constant(), [], []
    elements = iter(blocks)
    for first in elements:
        parts = [first, *itertools.islice(elements, replicas - 1)]
        assert len({(int(x.steps), int(x.total), bool(x.more)) for x in parts}) == 1
        assert all(x.rows.shape[0] in (feed.width, 1) for x in parts)
        for i in range(int(first.steps)):
            images = [feed.batch(constant, part.rows[i]) for part in parts]
            current.append([n for each in images for n in _numbers(each)])
            assert len(current[-1]) == int(first.total)
        if not first.more:
            found.append(current)
            current = []
    assert not current
    return found


@pytest.mark.parametrize("kind", [np.asarray, Fetched])
@pytest.mark.parametrize("count", [COUNT, 20], ids=["partial", "whole"])
@pytest.mark.parametrize(("steps", "width"), [(1, None), (3, 2), (3, None), (7, 2)])
def test_executions_have_their_steps_and_the_batches_of_one_at_a_time(
    numbered, kind, count, width, steps
):
    """From any position, in blocks that hold less than an execution, too."""
    images = numbered[:count]
    feed, epoch = Feed(kind(images), BATCH, width), steps_per_epoch(count, BATCH)
    for start in range(epoch + 1):
        expected = _order(images, 2 * epoch - start, seed=4, epoch=1, step=start)
        blocks = feed.training_blocks(steps, 4, Position(1, start))
        taken = _executions(feed, _of_epochs(blocks, 2 * epoch - start))
        assert [batch for execution in taken for batch in execution] == expected
        sizes = [len(execution) for execution in taken]
        assert sizes == _sizes(epoch - start, steps) + _sizes(epoch, steps)
    in_order = [batch for each in _executions(feed, feed.blocks(steps)) for batch in each]
    assert [n for batch in in_order for n in batch] == list(range(count))


def _of_epochs(blocks, steps):
    """The blocks of so many batches."""
    for block in blocks:
        yield block
        steps -= int(block.steps)
        if steps == 0:
            return


def _sizes(epoch, steps):
    return [min(steps, epoch - start) for start in range(0, epoch, steps)]


@pytest.mark.parametrize("kind", [np.asarray, Fetched])
def test_blocks_of_replicas_are_slices_of_the_same_batches(numbered, kind):
    feed = Feed(kind(numbered), BATCH, 2)
    blocks = feed.blocks(3, Replicas(3, 0, 3))
    assert _executions(feed, blocks, 3) == _executions(feed, feed.blocks(3))


def test_a_block_of_fetched_images_is_small():
    images = Fetched(np.zeros((40, 512, 512, 4), np.uint8))  # 1 MB each
    assert Feed(images, 2).width == MAX_BLOCK_BYTES // (2 << 20)
    assert Feed(images, 16).width == 1, "larger than a block"
    assert Feed(images, 2, width=3).width == 3
