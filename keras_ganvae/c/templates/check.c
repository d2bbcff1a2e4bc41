/* Reads seeds, int32, and writes for each: its latent, the image of the latent, and the image of
   the seed. */
#include <stdio.h>

#include "generator.h"

#ifdef GANVAE_FLOAT
typedef float latent_t;
typedef float pixel_t;
#define LATENT ganvae_latent_float
#define DECODE ganvae_decode_float
#else
typedef int8_t latent_t;
typedef uint8_t pixel_t;
#define LATENT ganvae_latent
#define DECODE ganvae_decode
#endif

static latent_t z[GANVAE_LATENT_SIZE];
static pixel_t decoded[GANVAE_IMAGE_SIZE];
static uint8_t image[GANVAE_IMAGE_SIZE];

int main(void)
{
    int32_t seed;
    while (fread(&seed, sizeof seed, 1, stdin) == 1) {
        LATENT(seed, z);
        DECODE(z, decoded);
        if (ganvae_sample(seed, 0) != -1 || ganvae_sample(seed, image) != 0) {
            return 1;
        }
        fwrite(z, sizeof z, 1, stdout);
        fwrite(decoded, sizeof decoded, 1, stdout);
        fwrite(image, sizeof image, 1, stdout);
    }
    return 0;
}
