/* Random numbers that are the same everywhere: a hash of the seed and a counter (lowbias32,
   C. Wellons 2018). */
static uint32_t mixed(uint32_t x)
{
    x = (x ^ (x >> {{ shifts[0] }})) * {{ multipliers[0] }}u;
    x = (x ^ (x >> {{ shifts[1] }})) * {{ multipliers[1] }}u;
    return x ^ (x >> {{ shifts[2] }});
}

/* {{ bits }} random bits. */
static uint32_t random_bits(int32_t seed, uint32_t counter)
{
    return mixed(mixed((uint32_t)seed) + counter * {{ golden }}u) >> {{ 32 - bits }};
}
