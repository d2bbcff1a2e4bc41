import numpy as np
import pytest

from keras_ganvae import architectures


def _weights(run):
    return run.model().get_weights()


@pytest.mark.parametrize("arch", architectures.names())
def test_one_seed_gives_one_model(run_of, train_tiny, arch):
    first, second, other = run_of(arch), train_tiny(arch), train_tiny(arch, seed=1, epochs=1)
    for a, b in zip(_weights(first), _weights(second), strict=True):
        assert a.tobytes() == b.tobytes()
    assert first.model_file.read_bytes() == second.model_file.read_bytes()
    assert any(
        not np.array_equal(a, b) for a, b in zip(_weights(first), _weights(other), strict=True)
    )
    timed = {"seconds", "images_per_second"}
    assert [
        {name: value for name, value in row.items() if name not in timed} for row in first.history()
    ] == [
        {name: value for name, value in row.items() if name not in timed}
        for row in second.history()
    ]
    for name in ("samples-00001.png", "samples-00002.png", "training.gif"):
        assert (first.figures / name).read_bytes() == (second.figures / name).read_bytes()
    if first.is_variational:
        a, b = first.prior("mixture"), second.prior("mixture")
        np.testing.assert_array_equal(a.means, b.means)
        np.testing.assert_array_equal(a.factors, b.factors)
