def test_a_confident_discriminator_starves_the_saturating_loss(measurements):
    first, *_, last = measurements["gradients"]
    probability = last["fake_probability"]
    assert first["fake_probability"] > 0.3 > probability
    # For each image the ratio is D / (1 - D).
    assert last["saturating"] / last["non_saturating"] < 5 * probability / (1 - probability)
