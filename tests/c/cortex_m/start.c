/* Starts a Cortex-M without any library, prints the images of the seeds 0 to SEEDS - 1 as
   hexadecimal digits by semihosting, one line each, and exits. */
#include "generator.h"

#ifndef SEEDS
#define SEEDS 4
#endif

extern char bss_start, bss_end, stack_top;

static uint8_t image[GANVAE_IMAGE_SIZE];
static char line[2 * GANVAE_IMAGE_SIZE + 2];

static int32_t semihost(int32_t operation, const void *argument)
{
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void finish(int32_t reason)
{
    semihost(0x18, (const void *)reason); /* SYS_EXIT */
    for (;;) {
    }
}

static void reset(void)
{
    for (volatile char *byte = &bss_start; byte < &bss_end; byte++) {
        *byte = 0;
    }
    for (int32_t seed = 0; seed < SEEDS; seed++) {
        char *end = line;
        if (ganvae_sample(seed, image) != 0) {
            finish(0x20023);
        }
        for (int32_t i = 0; i < GANVAE_IMAGE_SIZE; i++) {
            *end++ = "0123456789abcdef"[image[i] >> 4];
            *end++ = "0123456789abcdef"[image[i] & 15];
        }
        *end++ = '\n';
        *end = 0;
        semihost(0x04, line); /* SYS_WRITE0 */
    }
    finish(0x20026);
}

static void fault(void)
{
    finish(0x20023);
}

struct vectors {
    const void *stack;
    void (*handlers[3])(void); /* reset, NMI, hard fault */
};

__attribute__((section(".vectors"), used)) const struct vectors vectors = {
    &stack_top, {reset, fault, fault}
};
