/* Images from seeds. Compile generator.c (integers) or generator_float.c (float32). */
#ifndef GANVAE_GENERATOR_H
#define GANVAE_GENERATOR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GANVAE_HEIGHT {{ height }}
#define GANVAE_WIDTH {{ width }}
#define GANVAE_CHANNELS {{ channels }}
#define GANVAE_IMAGE_SIZE {{ height * width * channels }} /* height * width * channels */
#define GANVAE_LATENT_SIZE {{ size }}

/* Draws the image of a seed, row by row, channels last, from 0 to 255: GANVAE_IMAGE_SIZE bytes.
   Returns 0, or -1 if `image` is null. Not reentrant: the work buffer is static. */
int ganvae_sample(int32_t seed, uint8_t *image);

/* generator.c: the quantized latent of a seed, GANVAE_LATENT_SIZE numbers, and its image. */
void ganvae_latent(int32_t seed, int8_t *z);
void ganvae_decode(const int8_t *z, uint8_t *image);

/* generator_float.c: the latent of a seed, and its image in [0, 1]. */
void ganvae_latent_float(int32_t seed, float *z);
void ganvae_decode_float(const float *z, float *image);

#ifdef __cplusplus
}
#endif

#endif
