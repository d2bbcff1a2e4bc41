{% include "hash.c" %}

/* -ln(u / 2^24) times 2^58, for odd u below 2^24. */
static uint64_t minus_log(uint32_t u)
{
    const uint64_t rest = 16777216u - u;
    uint64_t whole = 1, square;
    uint32_t y = u << 8, fraction = 0;
    if (rest < 16384) { /* near 1: three terms of the series */
        return (rest << 34) + ((rest * rest) << 9) + rest * rest * rest / 49152;
    }
    while (y < 2147483648u) {
        y <<= 1;
        whole++;
    }
    /* The binary logarithm of y / 2^31, bit by bit: squaring y doubles it. */
    for (uint32_t bit = 2147483648u; bit != 0; bit >>= 1) {
        square = (uint64_t)y * y;
        if (square >> 63) {
            fraction |= bit;
            y = (uint32_t)(square >> 32);
        } else {
            y = (uint32_t)(square >> 31);
        }
    }
    /* ln 2 times 2^58 and 2^32. */
    return whole * {{ ln2_58 }}u - (((uint64_t)fraction * {{ ln2_32 }}u) >> 6);
}

/* The square root, rounded down. */
static uint32_t square_root(uint64_t value)
{
    uint32_t root = 0;
    for (uint32_t bit = 2147483648u; bit != 0; bit >>= 1) {
        const uint64_t next = root | bit;
        if (next * next <= value) {
            root |= bit;
        }
    }
    return root;
}

/* cos and sin of 2 pi turn / 2^24, times 2^30, for turns from 0 to 2^24. */
static void circle(int32_t turn, int32_t *cosine, int32_t *sine)
{
    const int64_t one = 1073741824;
    const int32_t quarter = (turn + 2097152) / 4194304;
    const int64_t x = (turn - quarter * 4194304) * {{ two_pi_30 }} / 16777216; /* within pi / 4 */
    const int64_t y = x * x / one;
    int64_t c = one, s = one;
    for (int32_t k = 12; k > 0; k -= 2) { /* Taylor's series from its last terms */
        c = one - (int32_t)(y * c / one) / (k * (k - 1));
        s = one - (int32_t)(y * s / one) / (k * (k + 1));
    }
    s = x * s / one;
    *cosine = (int32_t)(quarter % 4 == 0 ? c : quarter % 4 == 1 ? -s : quarter % 4 == 2 ? -c : s);
    *sine = (int32_t)(quarter % 4 == 0 ? s : quarter % 4 == 1 ? c : quarter % 4 == 2 ? -s : -c);
}

/* {{ size }} standard normals times 2^28, by Box and Muller. */
static void normals(int32_t seed, int32_t e[{{ 2 * pairs }}])
{
    for (int32_t i = 0; i < {{ pairs }}; i++) {
        const uint32_t u = 2 * (random_bits(seed, (uint32_t)i) ^ {{ half }}u) + 1;
        const uint32_t turn = 2 * random_bits(seed, (uint32_t)i + {{ pairs }}) + 1;
        const int64_t radius = square_root(2 * minus_log(u)); /* times 2^29 */
        int32_t cosine, sine;
        circle((int32_t)turn, &cosine, &sine);
        e[i] = (int32_t)(radius * cosine / 2147483648);
        e[i + {{ pairs }}] = (int32_t)(radius * sine / 2147483648);
    }
}
{% if mixture %}

/* A mixture of {{ components }} Gaussians: the random words at which the next one begins. */
{{ thresholds }}

/* Their means and lower triangular factors, row by row, in units of {{ unit }}. */
{{ means }}

{{ factors }}
{% include "component.c" %}
{% endif %}

/* The int8 of a latent, given times 2^28 in units of {{ unit }}: z / {{ scale }}, rounded. */
static int8_t quantized(int64_t z)
{
    const int64_t step = {{ step }};
    int64_t q = (z < 0 ? z - step / 2 : z + step / 2) / step + {{ zero }};
    q = q < -128 ? -128 : q;
    q = q > 127 ? 127 : q;
    return (int8_t)q;
}

void ganvae_latent(int32_t seed, int8_t *z)
{
    int32_t e[{{ 2 * pairs }}];
{% if mixture %}
    const int32_t k = component(seed);
    int32_t place = 0;
    normals(seed, e);
    for (int32_t i = 0; i < {{ size }}; i++) {
        int64_t sum = means[k][i] * (int64_t)268435456;
        for (int32_t j = 0; j <= i; j++) {
            sum += (int64_t)factors[k][place++] * e[j];
        }
        z[i] = quantized(sum);
    }
{% else %}
    normals(seed, e);
    for (int32_t i = 0; i < {{ size }}; i++) {
        z[i] = quantized(e[i] * (int64_t){{ normal }});
    }
{% endif %}
}
