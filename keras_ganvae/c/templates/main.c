/* Draws the image of a seed in a terminal:

       cc -std=c99 -O2 main.c generator.c -o draw && ./draw 7
*/
#include <stdio.h>
#include <stdlib.h>

#include "generator.h"

static uint8_t image[GANVAE_IMAGE_SIZE];

int main(int argc, char **argv)
{
    const char levels[] = " .:-=+*#%@"; /* from dark to bright */
    const uint8_t *pixel = image;
    const long seed = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    if (ganvae_sample((int32_t)seed, image) != 0) {
        return 1;
    }
    for (int row = 0; row < GANVAE_HEIGHT; row++) {
        for (int column = 0; column < GANVAE_WIDTH; column++) {
            int sum = 0;
            for (int c = 0; c < GANVAE_CHANNELS; c++) {
                sum += *pixel++;
            }
            sum = sum / GANVAE_CHANNELS * 10 / 256;
            putchar(levels[sum]);
            putchar(levels[sum]); /* a character is about twice as high as wide */
        }
        putchar('\n');
    }
    return 0;
}
