import dataclasses
import json

import pytest

from keras_ganvae import TrainConfig, architectures
from keras_ganvae.config import field_named, nearest, parse_setting, read_toml, scalar_type
from keras_ganvae.errors import InputError

HUGE = 10**400  # beyond the largest float
FIELDS = {each.name: each for each in dataclasses.fields(TrainConfig)}


def _config(**settings):
    return TrainConfig(**{"arch": "vae"} | settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arch": None}, "`arch` must be given"),
        ({"seed": None}, "`seed` must be given"),
        ({"epochs": 0}, "`epochs` must be at least 1, not 0"),
        ({"epochs": -3}, "`epochs` must be at least 1, not -3"),
        ({"epochs": 1.5}, "`epochs` must be a whole number, not 1.5"),
        ({"epochs": True}, "`epochs` must be a whole number, not True"),
        ({"epochs": "3"}, "`epochs` must be a whole number, not '3'"),
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
        ({"latent_dim": 0}, "`latent_dim` must be at least 1"),
        ({"limit": 0}, "`limit` must be at least 1"),
        ({"image_size": 3}, "`image_size` must be at least 4"),
        ({"learning_rate": 0}, "`learning_rate` must be greater than 0"),
        ({"learning_rate": "fast"}, "`learning_rate` must be a number, not 'fast'"),
        ({"learning_rate": True}, "`learning_rate` must be a number, not True"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be finite, not nan"),
        ({"learning_rate": float("inf")}, "`learning_rate` must be finite, not inf"),
        ({"beta": float("-inf")}, "`beta` must be finite"),
        ({"beta": -0.1}, "`beta` must be at least 0"),
        ({"beta_1": 1}, "`beta_1` must be at most 0.999, not 1"),
        ({"average_decay": 1.0}, "`average_decay` must be at most 0.99999"),
        ({"seed": -1}, "`seed` must be at least 0"),
        ({"seed": 2**31}, "`seed` must be at most 2147483647"),
        ({"dropout": 1}, "`dropout` must be true or false, not 1"),
        ({"dataset": 7}, "`dataset` must be text, not 7"),
        ({"preset": "papr"}, "unknown `preset` 'papr'; did you mean 'paper'?"),
        ({"optimizer": "adamw"}, "unknown `optimizer` 'adamw'; did you mean 'adam'?"),
        ({"precision": "int8"}, "unknown `precision` 'int8'; known: float32, bfloat16, float16"),
        ({"binarize": "round"}, "unknown `binarize` 'round'"),
        ({"generator_loss": "saturated"}, "did you mean 'saturating'?"),
        ({"schedule": "linear"}, "unknown `schedule` 'linear'"),
        ({"jit": "yes"}, "unknown `jit` 'yes'; known: auto, on, off"),
        ({"sampling_prior": "uniform"}, "unknown `sampling_prior` 'uniform'"),
        ({"arch": 5}, "`arch` must be text, not 5"),
        ({"arch": ["vae"]}, "`arch` must be text, not ['vae']"),
        ({"epochs": 2**31}, "`epochs` must be at most 2147483647"),
        ({"epochs": HUGE}, "`epochs` must be at most 2147483647, not 1000"),
        ({"latent_dim": 10**9}, "`latent_dim` must be at most 4096, not 1000000000"),
        ({"image_size": 100_000}, "`image_size` must be at most 4096, not 100000"),
        ({"replicas": 10**9}, "`replicas` must be at most 256, not 1000000000"),
        ({"learning_rate": HUGE}, "`learning_rate` must be finite, not 1000"),
        ({"learning_rate": 10**5000}, "`learning_rate` must be finite, not this int"),
        ({"dataset": "folder:a\0b"}, "`dataset` must be UTF-8 without NUL characters"),
        ({"data_dir": "caf\udce9"}, "`data_dir` must be UTF-8 without NUL characters"),
        ({"optimizer": "adam" * 10**5}, "unknown `optimizer` 'adamadam"),
    ],
)
def test_invalid_values(settings, message):
    with pytest.raises(InputError) as failure:
        _config(**settings)
    assert message in str(failure.value) and "\n" not in str(failure.value)
    assert len(str(failure.value)) < 300


@pytest.mark.parametrize(
    "settings",
    [{"learning_rate": 1}, {"beta": 0}, {"beta_1": 0.999}, {"seed": 2**31 - 1}, {"epochs": 1}],
)
def test_limits_are_inclusive(settings):
    [(name, value)] = settings.items()
    assert getattr(_config(**settings), name) == value


def test_a_config_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        _config().epochs = 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("epoch", "unknown setting 'epoch'; did you mean 'epochs'?"),
        ("lerning_rate", "did you mean 'learning_rate'?"),
        ("batchsize", "did you mean 'batch_size'?"),
        ("zzz", "unknown setting 'zzz'; known: arch, preset,"),
    ],
)
def test_an_unknown_key_is_an_error_with_a_suggestion(tmp_path, name, message):
    (tmp_path / "settings.toml").write_text(f"{name} = 3\n")
    for parse in (
        lambda: TrainConfig.from_dict({"arch": "vae", name: 3}),
        lambda: parse_setting(f"{name}=3"),
        lambda: read_toml(tmp_path / "settings.toml"),
        lambda: field_named(name),
    ):
        with pytest.raises(InputError) as failure:
            parse()
        assert message in str(failure.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epochs=3", ("epochs", 3)),
        ("learning_rate=1e-3", ("learning_rate", 0.001)),
        ("learning_rate=1", ("learning_rate", 1)),
        ("dropout=false", ("dropout", False)),
        ("limit=none", ("limit", None)),
        ("limit=None", ("limit", None)),
        ("dataset=folder:a=b", ("dataset", "folder:a=b")),
        ("dataset=3", ("dataset", "3")),
        ("binarize=threshold", ("binarize", "threshold")),
        ("binarize=none", ("binarize", "none")),
    ],
)
def test_key_value_settings(text, expected):
    name, value = parse_setting(text)
    assert (name, value) == expected and type(value) is type(expected[1])
    assert getattr(TrainConfig(**{"arch": "gan"} | {name: value}), name) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs", "a setting must be KEY=VALUE, not 'epochs'"),
        ("epochs=", "`epochs` must be a whole number"),
        ("epochs=many", "`epochs` must be a whole number, not 'many'"),
        ("epochs=1.0", "`epochs` must be a whole number"),
        ("epochs=0", "`epochs` must be at least 1"),
        ("dropout=yes", "`dropout` must be true or false"),
        ("learning_rate=NaN", "`learning_rate` must be finite"),
        ("learning_rate=1e999", "`learning_rate` must be finite"),
        ("epochs=[3]", "`epochs` must be a whole number, not \\[3\\]"),
        ("seed=none", "`seed` must be given"),
        (f"epochs={HUGE}", "`epochs` must be at most"),
        (f"learning_rate={HUGE}", "`learning_rate` must be finite"),
        (f"epochs={'9' * 5000}", "`epochs` must be a whole number, not '999"),
        (f"epochs={'[' * 10**5}", "`epochs` must be a whole number"),
        (f"{'x' * 10**5}=1", "unknown setting 'xxx"),
    ],
    ids=lambda each: each[:30],
)
def test_invalid_key_value_settings(text, message):
    with pytest.raises(InputError, match=message):
        TrainConfig.from_dict({"arch": "vae"} | dict([parse_setting(text)]))


def test_a_toml_file(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('arch = "cvae"  # a comment\nepochs = 3\nlearning_rate = 1e-3\n')
    config = TrainConfig.from_dict(read_toml(path))
    assert (config.arch, config.epochs, config.learning_rate) == ("cvae", 3, 0.001)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"epochs: 3", "is not TOML"),
        (b"\xff\xfe\x00", "is not TOML"),
        (b"[train]\nepochs = 3", "unknown setting 'train'"),
        (b"epochs = " + b"9" * 5000, "is not TOML"),
        (b"epochs = " + b"[" * 10**5, "is nested too deeply"),
        (b"epochs = " + b"{a=" * 10**5, "is nested too deeply"),
        (None, "can't read config file .*: No such file"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_bad_toml_files(tmp_path, content, message):
    path = tmp_path / "settings.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as failure:
        read_toml(path)
    assert str(path) in str(failure.value) or "train" in message


def test_a_folder_is_not_a_toml_file(tmp_path):
    with pytest.raises(InputError, match="can't read config file"):
        read_toml(tmp_path)


@pytest.mark.parametrize("arch", architectures.names())
@pytest.mark.parametrize("preset", ["default", "paper"])
def test_json_round_trip(arch, preset):
    config = architectures.resolve(TrainConfig(arch=arch, preset=preset, limit=7))
    again = TrainConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config and list(config.to_dict()) == list(FIELDS)


@pytest.mark.parametrize("arch", architectures.names())
@pytest.mark.parametrize("preset", ["default", "paper"])
def test_resolving_fills_every_setting_of_the_models_kind(arch, preset):
    kind = architectures.load(arch).KIND
    optional = {"data_dir", "image_size", "limit", "validation_size", "replicas"}
    config = architectures.resolve(TrainConfig(arch=arch, preset=preset))
    open_settings = {name for name, value in config.to_dict().items() if value is None}
    groups = {"adversarial": "VAE", "variational": "GAN"}
    others = {name for name, each in FIELDS.items() if each.metadata["group"] == groups[kind]}
    assert open_settings == optional | others
    assert architectures.resolve(config) == config


@pytest.mark.parametrize("arch", architectures.names())
def test_given_settings_override_the_preset(arch):
    given = {"epochs": 7, "latent_dim": 5, "learning_rate": 0.5, "optimizer": "sgd"}
    config = architectures.resolve(TrainConfig(arch=arch, **given))
    assert {name: getattr(config, name) for name in given} == given
    assert config.schedule_epochs == 7
    longer = architectures.resolve(TrainConfig(arch=arch, epochs=7, schedule_epochs=20))
    assert longer.schedule_epochs == 20


@pytest.mark.parametrize(
    ("arch", "settings", "message"),
    [
        ("vae", {"generator_loss": "saturating"}, "`generator_loss` is a setting of GANs"),
        ("cvae", {"dropout": False}, "`dropout` is a setting of GANs, not of cvae"),
        ("vae", {"average_decay": 0.0}, "`average_decay` is a setting of GANs"),
        ("gan", {"beta": 0.0}, "`beta` is a setting of VAEs, not of gan"),
        ("dcgan", {"binarize": "none"}, "`binarize` is a setting of VAEs"),
        ("gan", {"sampling_prior": "mixture"}, "`sampling_prior` is a setting of VAEs"),
    ],
)
def test_settings_of_the_other_kind_of_model_are_rejected(arch, settings, message):
    with pytest.raises(InputError, match=message):
        architectures.resolve(TrainConfig(arch=arch, **settings))


# The paper's own settings.
@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        ("gan", {"latent_dim": 100, "batch_size": 128, "learning_rate": 2e-4}),
        ("dcgan", {"latent_dim": 128, "batch_size": 128, "learning_rate": 2e-4}),
        ("vae", {"latent_dim": 3, "batch_size": 64, "learning_rate": 1e-4}),
        ("cvae", {"latent_dim": 3, "batch_size": 64, "learning_rate": 1e-4}),
    ],
)
def test_the_paper_preset_is_the_papers(arch, expected):
    expected |= {"epochs": 200, "optimizer": "adam", "beta_1": 0.9, "schedule": "constant"}
    if architectures.load(arch).KIND == "adversarial":
        expected |= {"generator_loss": "non_saturating", "dropout": True, "average_decay": 0}
        expected["gradient_penalty"] = 0
    else:
        expected |= {"binarize": "threshold", "beta": 1, "sampling_prior": "normal"}
    config = architectures.resolve(TrainConfig(arch=arch, preset="paper"))
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize("arch", architectures.names())
def test_presets_contain_only_valid_settings(arch):
    module = architectures.load(arch)
    assert set(module.PRESETS) == {"default", "paper"}
    assert module.KIND in ("adversarial", "variational")
    for values in module.PRESETS.values():
        made = TrainConfig.from_dict({"arch": arch} | values)
        assert all(getattr(made, name) == value for name, value in values.items())


def test_an_unknown_architecture_suggests_the_nearest():
    with pytest.raises(InputError, match="unknown architecture 'cave'; did you mean 'cvae'?"):
        architectures.check("cave")
    with pytest.raises(InputError, match="unknown architecture 'x'; known: cvae, dcgan, gan, vae"):
        architectures.load("x")
    assert [architectures.check(name) for name in architectures.names()] == [
        "cvae",
        "dcgan",
        "gan",
        "vae",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("arch", str), ("epochs", int), ("beta", float), ("dropout", bool), ("data_dir", str)],
)
def test_the_type_of_a_field(name, expected):
    assert scalar_type(FIELDS[name]) is expected


def test_every_field_has_a_help_text():
    assert all(each.metadata["help"] for each in FIELDS.values())


def test_nearest():
    assert nearest("mnits", ["mnist", "cifar10"]) == "; did you mean 'mnist'?"
    assert nearest("q", ["mnist", "cifar10"]) == "; known: mnist, cifar10"
