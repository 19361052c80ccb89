#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The sum over one 8 KiB page of PostgreSQL's checksum: 32 sums side by side, `bases` to begin with. The multiplication
   of 32-bit lanes needs more than the x86-64 baseline, so there is one body for AVX2 and one for every other machine. */
#define BACKUPD_PAGE_SUM_BODY                                                       \
    uint32_t sums[32];                                                              \
    memcpy(sums, bases, sizeof sums);                                               \
    for (size_t row = 0; row < 64; row++) {                                         \
        uint32_t words[32];                                                         \
        memcpy(words, page + row * sizeof words, sizeof words);                     \
        if (row == 0) words[2] &= 0xFFFF0000u; /* pd_checksum counts as zero */     \
        for (int column = 0; column < 32; column++) {                               \
            uint32_t mixed = sums[column] ^ words[column];                          \
            sums[column] = (mixed * 16777619u) ^ (mixed >> 17);                     \
        }                                                                           \
    }                                                                               \
    for (int round = 0; round < 2; round++)                                         \
        for (int column = 0; column < 32; column++)                                 \
            sums[column] = (sums[column] * 16777619u) ^ (sums[column] >> 17);       \
    uint32_t result = 0;                                                            \
    for (int column = 0; column < 32; column++) result ^= sums[column];             \
    return result;

static inline uint32_t backupd_page_sum_portable(const uint8_t *page, const uint32_t *bases) {
    BACKUPD_PAGE_SUM_BODY
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static inline uint32_t backupd_page_sum_avx2(const uint8_t *page,
                                                                            const uint32_t *bases) {
    BACKUPD_PAGE_SUM_BODY
}
static inline int backupd_page_sum_has_avx2(void) { return __builtin_cpu_supports("avx2") != 0; }
#else
static inline uint32_t backupd_page_sum_avx2(const uint8_t *page, const uint32_t *bases) {
    return backupd_page_sum_portable(page, bases);
}
static inline int backupd_page_sum_has_avx2(void) { return 0; }
#endif
