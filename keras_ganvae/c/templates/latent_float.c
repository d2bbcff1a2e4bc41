{% include "hash.c" %}

/* {{ size }} standard normals, by Box and Muller. */
static void normals(int32_t seed, float e[{{ 2 * pairs }}])
{
    for (int32_t i = 0; i < {{ pairs }}; i++) {
        const uint32_t u = random_bits(seed, (uint32_t)i) ^ {{ half }}u;
        const int32_t turn = (int32_t)(random_bits(seed, (uint32_t)i + {{ pairs }}) ^ {{ half }}u) - {{ half }};
        const float radius = sqrtf(-2.0f * logf(((float)u + 0.5f) / {{ 2 * half }}.0f));
        const float angle = {{ two_pi }}f * (((float)turn + 0.5f) / {{ 2 * half }}.0f);
        e[i] = radius * cosf(angle);
        e[i + {{ pairs }}] = radius * sinf(angle);
    }
}
{% if mixture %}

/* A mixture of {{ components }} Gaussians: the random words at which the next one begins. */
{{ thresholds }}

{{ means }}

/* The lower triangular factors, row by row. */
{{ factors }}
{% include "component.c" %}
{% endif %}

void ganvae_latent_float(int32_t seed, float *z)
{
    float e[{{ 2 * pairs }}];
{% if mixture %}
    const int32_t k = component(seed);
    int32_t place = 0;
    normals(seed, e);
    for (int32_t i = 0; i < {{ size }}; i++) {
        float sum = 0.0f;
        for (int32_t j = 0; j <= i; j++) {
            sum += factors[k][place++] * e[j];
        }
        z[i] = means[k][i] + sum;
    }
{% else %}
    normals(seed, e);
    for (int32_t i = 0; i < {{ size }}; i++) {
        z[i] = e[i];
    }
{% endif %}
}
