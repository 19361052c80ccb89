#pragma once
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__aarch64__)
#include <arm_acle.h>
#endif

/* EVP_CTRL_* calls are macros over EVP_CIPHER_CTX_ctrl; Swift cannot see through them. */
static inline int backupd_gcm_get_tag(EVP_CIPHER_CTX *context, unsigned char tag[16]) {
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, tag);
}
static inline int backupd_gcm_set_tag(EVP_CIPHER_CTX *context, const unsigned char tag[16]) {
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, 16, (void *)tag);
}

/* HKDF-SHA256, extract and expand (RFC 5869). Returns 1 on success. */
static inline int backupd_hkdf_sha256(const unsigned char *key, size_t key_length, const unsigned char *salt,
                                      size_t salt_length, const unsigned char *info, size_t info_length,
                                      unsigned char *output, size_t output_length) {
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    if (kdf == NULL) return 0;
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    EVP_KDF_free(kdf);
    if (context == NULL) return 0;
    char digest[] = "SHA256";
    OSSL_PARAM parameters[5];
    parameters[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
    parameters[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, key_length);
    parameters[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_length);
    parameters[3] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_length);
    parameters[4] = OSSL_PARAM_construct_end();
    int result = EVP_KDF_derive(context, output, output_length, parameters);
    EVP_KDF_CTX_free(context);
    return result == 1;
}

/* CRC-32C (Castagnoli), PostgreSQL's checksum of manifests and control files; `crc` is not inverted. */
#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static inline uint32_t backupd_crc32c_hardware(uint32_t crc, const uint8_t *data,
                                                                               size_t length) {
    uint64_t state = crc;
    while (length > 0 && ((uintptr_t)data & 7) != 0) {
        state = _mm_crc32_u8((uint32_t)state, *data++);
        length--;
    }
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        state = _mm_crc32_u64(state, word);
        data += 8;
        length -= 8;
    }
    while (length > 0) {
        state = _mm_crc32_u8((uint32_t)state, *data++);
        length--;
    }
    return (uint32_t)state;
}
/* Three runs of 2,728 bytes at once hide the instruction's latency of three cycles; the runs are then joined by
   carry-less arithmetic done with two small tables (see CRC32C.swift). */
__attribute__((target("sse4.2"))) static inline void backupd_crc32c_three(uint32_t crc, const uint8_t *data,
                                                                        size_t run, uint32_t out[3]) {
    uint64_t a = crc, b = 0, c = 0;
    for (size_t i = 0; i < run; i += 8) {
        uint64_t x, y, z;
        memcpy(&x, data + i, 8);
        memcpy(&y, data + run + i, 8);
        memcpy(&z, data + 2 * run + i, 8);
        a = _mm_crc32_u64(a, x);
        b = _mm_crc32_u64(b, y);
        c = _mm_crc32_u64(c, z);
    }
    out[0] = (uint32_t)a;
    out[1] = (uint32_t)b;
    out[2] = (uint32_t)c;
}
static inline int backupd_crc32c_has_hardware(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
static inline uint32_t backupd_crc32c_hardware(uint32_t crc, const uint8_t *data, size_t length) {
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        crc = __crc32cd(crc, word);
        data += 8;
        length -= 8;
    }
    while (length > 0) {
        crc = __crc32cb(crc, *data++);
        length--;
    }
    return crc;
}
static inline void backupd_crc32c_three(uint32_t crc, const uint8_t *data, size_t run, uint32_t out[3]) {
    out[0] = backupd_crc32c_hardware(crc, data, run);
    out[1] = backupd_crc32c_hardware(0, data + run, run);
    out[2] = backupd_crc32c_hardware(0, data + 2 * run, run);
}
static inline int backupd_crc32c_has_hardware(void) { return 1; }
#else
static inline uint32_t backupd_crc32c_hardware(uint32_t crc, const uint8_t *data, size_t length) {
    (void)data;
    (void)length;
    return crc;
}
static inline void backupd_crc32c_three(uint32_t crc, const uint8_t *data, size_t run, uint32_t out[3]) {
    (void)data;
    (void)run;
    out[0] = crc;
    out[1] = out[2] = 0;
}
static inline int backupd_crc32c_has_hardware(void) { return 0; }
#endif
