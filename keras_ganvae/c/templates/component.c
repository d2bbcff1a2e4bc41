
/* The component of the mixture that a seed draws from. */
static int32_t component(int32_t seed)
{
    const uint32_t word = random_bits(seed, {{ 2 * pairs }}) ^ {{ half }}u;
    int32_t k = 0;
    while (word >= thresholds[k]) {
        k++;
    }
    return k;
}
