import shutil

import numpy as np
import pytest
from PIL import Image

from keras_ganvae import architectures
from keras_ganvae.errors import InputError
from keras_ganvae.plots import latent_space
from keras_ganvae.runs.run import Run

# Pictures drawn from a choice of priors, besides `sample`.
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
    descriptions = {
        latent_space.sample(run, 6, 3, tmp_path / "a.npz"),
        latent_space.sample(run, 6, 3, tmp_path / "a.png"),
        latent_space.sample(run, 6, 3, f"{tmp_path}/folder/"),
    }
    [description] = descriptions
    assert f"6 samples of {arch} on synthetic" in description and "seed 3" in description
    with np.load(tmp_path / "a.npz") as arrays:
        samples = arrays["samples"]
    assert samples.shape == (6, 28, 28, 1) and samples.dtype == np.uint8
    assert len({image.tobytes() for image in samples}) == 6
    files = sorted((tmp_path / "folder").iterdir())
    assert [file.name for file in files] == [f"{i}.png" for i in range(6)]
    np.testing.assert_array_equal(np.stack([_read(file) for file in files]), samples[..., 0])
    assert _description(tmp_path / "a.png") == _description(files[0]) == description
    # The grid is enlarged by an integer factor: three columns of 28 and two gaps of 2.
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
        latent_space.sample(run_of(arch), count, seed, out)
        return out.read_bytes()

    first = draw("first", 1)
    assert first == draw("again", 1)
    assert first != draw("other", 2)


@pytest.mark.parametrize("name", PRIOR_PICTURES)
@pytest.mark.parametrize("arch", ["vae", "gan"])
def test_pictures_are_deterministic_and_carry_their_description(run_of, tmp_path, arch, name):
    draw = getattr(latent_space, name)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    descriptions = [
        draw(run_of(arch), path, seed=seed) for path, seed in zip(paths, (4, 4, 5), strict=True)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    assert descriptions[0] == _description(paths[0])
    assert f"{arch} on synthetic" in descriptions[0] and "prior" in descriptions[0]
    assert min(_read(paths[0]).shape[:2]) > 100


@pytest.mark.parametrize("name", ["sample", *PRIOR_PICTURES])
def test_the_prior_can_be_chosen_and_is_recorded(run_of, tmp_path, name):
    run = run_of("vae")

    def draw(prior):
        out = tmp_path / f"{prior}.png"
        if name == "sample":
            return latent_space.sample(run, 9, 0, out, prior=prior), out
        return getattr(latent_space, name)(run, out, prior=prior), out

    (normal, first), (mixture, second), (default, third) = map(draw, ("normal", "mixture", None))
    assert "prior N(0, I)" in normal and "mixture of" not in normal
    assert f"mixture of {run.prior('mixture').components} Gaussians" in mixture
    assert default == mixture == _description(second)
    assert third.read_bytes() == second.read_bytes() != first.read_bytes()


@pytest.mark.parametrize("name", ["sample", *PRIOR_PICTURES])
def test_a_gan_has_no_mixture(run_of, tmp_path, name):
    options = {"count": 2, "seed": 0} if name == "sample" else {}
    with pytest.raises(InputError, match="is a gan; its prior is N"):
        getattr(latent_space, name)(
            run_of("gan"), out=tmp_path / "a.png", prior="mixture", **options
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arch", ["vae", "cvae"])
def test_reconstructions(run_of, tmp_path, arch):
    description = latent_space.reconstruct(run_of(arch), tmp_path / "a.png")
    assert "40 test images" in description and arch in description
    assert _read(tmp_path / "a.png").shape[1] > _read(tmp_path / "a.png").shape[0]
    latent_space.reconstruct(run_of(arch), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("arch", ["gan", "dcgan"])
def test_a_gan_cannot_reconstruct(run_of, tmp_path, arch):
    with pytest.raises(InputError, match=f"holds a {arch}, which can't reconstruct"):
        latent_space.reconstruct(run_of(arch), tmp_path / "a.png")


def test_the_animation_has_a_frame_for_each_epoch(run_of, tmp_path):
    assert "2 epochs" in latent_space.animate(run_of("vae"), tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.format, gif.n_frames) == ("GIF", 2)


@pytest.mark.parametrize("out", ["a.jpg", "a", "a.gif", "a.png/x.jpeg"])
@pytest.mark.parametrize("name", ["sample", "reconstruct", *PRIOR_PICTURES])
def test_unknown_endings_raise(run_of, tmp_path, name, out):
    options = {"count": 2, "seed": 0} if name == "sample" else {}
    with pytest.raises(InputError, match=r"must be .*\.png"):
        getattr(latent_space, name)(run_of("vae"), out=tmp_path / out, **options)
    assert not list(tmp_path.iterdir())


def test_animations_must_be_gifs(run_of, tmp_path):
    with pytest.raises(InputError, match="must be a .gif file"):
        latent_space.animate(run_of("vae"), tmp_path / "a.png")


@pytest.mark.parametrize("name", ["prior.npz", "figures/loss.png", "figures/"])
def test_samples_do_not_replace_files_of_the_run(run_of, tmp_path, name):
    run = Run.open(shutil.copytree(run_of("vae").path, tmp_path / "vae"))
    before = (run.path / name).read_bytes() if (run.path / name).is_file() else None
    with pytest.raises(InputError, match="is part of the run"):
        latent_space.sample(run, 2, 0, f"{run.path}/{name}")
    assert before is None or (run.path / name).read_bytes() == before
    latent_space.sample(run, 2, 0, run.path / "samples.png")
    with pytest.raises(InputError, match="is part of the run"):
        latent_space.animate(run, run.path / "figures" / "training.gif")


def test_existing_folders_are_neither_filled_nor_replaced(run_of, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="is not empty"):
        latent_space.sample(run_of("gan"), 2, 0, f"{tmp_path}/full/")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(InputError, match="must be"):
        latent_space.sample(run_of("gan"), 2, 0, tmp_path / "a.png")
    assert (tmp_path / "full" / "thesis.txt").read_text() == "precious"


def test_a_plane_needs_two_latent_dimensions(train_tiny, tmp_path):
    run = train_tiny("vae", latent_dim=1, epochs=1)
    with pytest.raises(InputError, match="only one latent dimension"):
        latent_space.manifold(run, tmp_path / "a.png")
    for name in ("interpolate", "traverse"):
        getattr(latent_space, name)(run, tmp_path / f"{name}.png")
        assert _read(tmp_path / f"{name}.png").max() > 0


@pytest.mark.parametrize("arch", ["vae", "gan"])
def test_a_run_in_training_is_drawn_from_its_newest_checkpoint(run_of, tmp_path, arch):
    path = shutil.copytree(run_of(arch).path, tmp_path / arch)
    for name in ("model.keras", "prior.npz"):
        (path / name).unlink(missing_ok=True)
    run = Run.open(path)
    pictures = [*PRIOR_PICTURES, *(["reconstruct"] if arch == "vae" else [])]
    descriptions = [latent_space.sample(run, 4, 0, tmp_path / "sample.png")]
    descriptions += [
        getattr(latent_space, name)(run, tmp_path / f"{name}.png") for name in pictures
    ]
    for description in descriptions:
        assert f"{arch} on synthetic (epoch 2 of 2, not finished)" in description
    assert "N(0, I)" in descriptions[0]
    assert _description(tmp_path / "sample.png") == descriptions[0]
