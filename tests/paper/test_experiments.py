from keras_ganvae.paper import experiments


def test_a_confident_discriminator_starves_the_saturating_loss(run_of):
    run = run_of("gan")
    rows = experiments.fading_gradient(run.config, run.dataset())
    first, last = rows[0], rows[-1]
    assert first["fake_probability"] > 0.3 > last["fake_probability"]
    ratio = last["saturating"] / last["non_saturating"]
    probability = last["fake_probability"]
    # Image by image the ratio is D / (1 - D).
    assert ratio < 5 * probability / (1 - probability)
