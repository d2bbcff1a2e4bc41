import numpy as np
import pytest
from PIL import Image

from keras_ganvae import architectures
from keras_ganvae.errors import InputError
from keras_ganvae.plots import latent_space as drawing
from keras_ganvae.priors.mixture import NormalPrior

# Every command but `sample`, with the prior that it can be told.
PRIOR_PICTURES = ("interpolate", "traverse", "manifold")


def _description(path):
    with Image.open(path) as image:
        return image.text["Description"]


def _read(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("arch", architectures.names())
def test_samples_as_array_grid_and_folder_are_the_same_images(run_of, tmp_path, arch):
    run = run_of(arch)
    said = {
        drawing.sample(run, 6, 3, tmp_path / "a.npz"),
        drawing.sample(run, 6, 3, tmp_path / "a.png"),
        drawing.sample(run, 6, 3, f"{tmp_path}/folder/"),
    }
    [description] = said
    assert f"6 samples of {arch} on synthetic" in description and "seed 3" in description
    with np.load(tmp_path / "a.npz") as arrays:
        samples = arrays["samples"]
    assert samples.shape == (6, 28, 28, 1) and samples.dtype == np.uint8
    assert len({image.tobytes() for image in samples}) == 6
    files = sorted((tmp_path / "folder").iterdir())
    assert [file.name for file in files] == [f"{i}.png" for i in range(6)]
    np.testing.assert_array_equal(np.stack([_read(file) for file in files]), samples[..., 0])
    assert _description(tmp_path / "a.png") == _description(files[0]) == description
    # The grid is enlarged by whole pixels: three columns of 28 and two gaps of 2.
    grid = _read(tmp_path / "a.png")
    factor = grid.shape[1] // (3 * 28 + 2 * 2)
    np.testing.assert_array_equal(
        grid[: 28 * factor : factor, : 28 * factor : factor], samples[0, ..., 0]
    )


@pytest.mark.parametrize("ending", ["a.png", "a.npz"])
@pytest.mark.parametrize("arch", ["vae", "dcgan"])
def test_the_same_seed_gives_the_same_bytes(run_of, tmp_path, arch, ending):
    def draw(name, seed, count=5):
        out = tmp_path / name / ending
        drawing.sample(run_of(arch), count, seed, out)
        return out.read_bytes()

    first = draw("first", 1)
    assert first == draw("again", 1)
    assert first != draw("other", 2)


@pytest.mark.parametrize("name", PRIOR_PICTURES)
@pytest.mark.parametrize("arch", ["vae", "gan"])
def test_pictures_are_deterministic_and_say_what_they_are(run_of, tmp_path, arch, name):
    draw = getattr(drawing, name)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    said = [
        draw(run_of(arch), path, seed=seed) for path, seed in zip(paths, (4, 4, 5), strict=True)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    assert said[0] == _description(paths[0])
    assert f"{arch} on synthetic" in said[0] and "prior" in said[0]
    assert min(_read(paths[0]).shape[:2]) > 100


@pytest.mark.parametrize("name", ["sample", *PRIOR_PICTURES])
def test_the_prior_is_the_one_asked_for_and_is_recorded(run_of, tmp_path, name):
    run = run_of("vae")

    def draw(prior):
        out = tmp_path / f"{prior}.png"
        if name == "sample":
            return drawing.sample(run, 9, 0, out, prior=prior), out
        return getattr(drawing, name)(run, out, prior=prior), out

    (normal, first), (mixture, second), (default, third) = map(draw, ("normal", "mixture", None))
    assert "prior N(0, I)" in normal and "mixture of" not in normal
    assert f"mixture of {run.prior('mixture').components} Gaussians" in mixture
    assert default == mixture == _description(second)
    assert third.read_bytes() == second.read_bytes() != first.read_bytes()


@pytest.mark.parametrize("name", ["sample", *PRIOR_PICTURES])
def test_a_gan_has_no_mixture(run_of, tmp_path, name):
    options = {"count": 2, "seed": 0} if name == "sample" else {}
    with pytest.raises(InputError, match="holds a gan, whose prior is N"):
        getattr(drawing, name)(run_of("gan"), out=tmp_path / "a.png", prior="mixture", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arch", ["vae", "cvae"])
def test_reconstructions(run_of, tmp_path, arch):
    description = drawing.reconstruct(run_of(arch), tmp_path / "a.png")
    assert "40 test images" in description and arch in description
    assert _read(tmp_path / "a.png").shape[1] > _read(tmp_path / "a.png").shape[0]
    drawing.reconstruct(run_of(arch), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("arch", ["gan", "dcgan"])
def test_a_gan_can_not_reconstruct(run_of, tmp_path, arch):
    with pytest.raises(InputError, match=f"holds a {arch}, which can't reconstruct"):
        drawing.reconstruct(run_of(arch), tmp_path / "a.png")


def test_the_animation_has_a_frame_for_each_epoch(run_of, tmp_path):
    assert "2 epochs" in drawing.animate(run_of("vae"), tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.format, gif.n_frames) == ("GIF", 2)


class _Painter:
    """A decoder whose two pixels are two of its three latents, one more strongly."""

    latent_dim = 3

    def decode(self, z):
        z = np.asarray(z)
        pixels = np.stack([0.5 + 0.01 * z[:, 0], 0.5 + 0.1 * z[:, 2]], axis=1)
        return pixels.clip(0, 1).reshape(-1, 1, 2, 1)


def test_the_most_active_dimension_comes_first():
    draws = NormalPrior(3).sample(500, 0)
    assert drawing.most_active(_Painter(), draws).tolist() == [2, 0, 1]


def test_a_walk_under_the_normal_prior_keeps_to_the_sphere():
    generator = np.random.default_rng(0)
    start, end = generator.standard_normal((2, 4, 10))
    start, end = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (start, end))
    np.testing.assert_allclose(drawing._great_circle(start, end, 0.0), start, atol=1e-6)
    np.testing.assert_allclose(drawing._great_circle(start, end, 1.0), end, atol=1e-6)
    for share in (0.25, 0.5):
        between = drawing._great_circle(start, end, share)
        np.testing.assert_allclose(np.linalg.norm(between, axis=1), 1, rtol=1e-5)
    same = drawing._great_circle(start, start, 0.5)
    np.testing.assert_allclose(same, start, atol=1e-6)


@pytest.mark.parametrize("out", ["a.jpg", "a", "a.gif", "a.png/x.jpeg"])
@pytest.mark.parametrize("name", ["sample", "reconstruct", *PRIOR_PICTURES])
def test_endings_that_can_not_be_written(run_of, tmp_path, name, out):
    options = {"count": 2, "seed": 0} if name == "sample" else {}
    with pytest.raises(InputError, match=r"must be .*\.png"):
        getattr(drawing, name)(run_of("vae"), out=tmp_path / out, **options)
    assert not list(tmp_path.iterdir())


def test_animations_are_gifs(run_of, tmp_path):
    with pytest.raises(InputError, match="must be a .gif file"):
        drawing.animate(run_of("vae"), tmp_path / "a.png")


def test_folders_are_neither_overwritten_nor_taken_for_files(run_of, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="is not empty"):
        drawing.sample(run_of("gan"), 2, 0, f"{tmp_path}/full/")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(InputError, match="must be"):
        drawing.sample(run_of("gan"), 2, 0, tmp_path / "a.png")
    assert (tmp_path / "full" / "thesis.txt").read_text() == "precious"


def test_one_latent_dimension_makes_no_plane(train_tiny, tmp_path):
    run = train_tiny("vae", latent_dim=1, epochs=1)
    with pytest.raises(InputError, match="one dimension"):
        drawing.manifold(run, tmp_path / "a.png")
    for name in ("interpolate", "traverse"):
        getattr(drawing, name)(run, tmp_path / f"{name}.png")
        assert _read(tmp_path / f"{name}.png").max() > 0
