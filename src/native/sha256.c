#include "sha256.h"

#include <string.h>

static const uint32_t FIRST[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const uint32_t K[64] __attribute__((aligned(64))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* A block in its message: whole chunks of it are read where they are, what shares a chunk with salt or padding is copied. */
struct message {
  const uint8_t *inner;
  uint8_t first[CHUNK], last[2 * CHUNK];
};

static size_t firsts(const struct block_hash *hash) { return hash->left > 0 ? 1 : 0; }
static size_t inners(const struct block_hash *hash) { return hash->size / CHUNK - firsts(hash); }

static void make_message(struct message *message, const struct block_hash *hash, const uint8_t *block) {
  const size_t left = hash->left;
  memcpy(message->last, hash->padding, sizeof hash->padding);
  message->inner = block;
  if (left == 0) return;
  message->inner = block + CHUNK - left;
  memcpy(message->first, hash->salt, left);
  memcpy(message->first + left, block, CHUNK - left);
  memcpy(message->last, block + hash->size - left, left);
}

/*
 * Two kernels for each kind of processor. compress1 and compress2 put `count` chunks at data[i] through state[i], of one
 * message and of two: a message waits for itself most of the time, and two take little longer than one. Where there is
 * a third, WIDE messages are hashed at once.
 */
#if defined(__x86_64__)

#include <immintrin.h>

#define SHA __attribute__((target("sha,sse4.1,ssse3")))

SHA static inline __attribute__((always_inline)) void compress(const int streams, uint32_t *const state[],
                                                               const uint8_t *const data[], size_t count) {
  const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i abef[2], cdgh[2], w[2][4];
#pragma GCC unroll 2
  for (int i = 0; i < streams; i++) {
    const __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state[i]), 0xb1);
    const __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state[i] + 4)), 0x1b);
    abef[i] = _mm_alignr_epi8(low, high, 8);
    cdgh[i] = _mm_blend_epi16(high, low, 0xf0);
  }
  for (size_t at = 0; at < count * CHUNK; at += CHUNK) {
    const __m128i abef0[2] = {abef[0], abef[streams - 1]}, cdgh0[2] = {cdgh[0], cdgh[streams - 1]};
#pragma GCC unroll 16
    for (int g = 0; g < 16; g++) {
#pragma GCC unroll 2
      for (int i = 0; i < streams; i++) {
        __m128i *const x = w[i];
        if (g < 4) {
          x[g] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data[i] + at) + g), order);
        } else {
          const __m128i early = _mm_sha256msg1_epu32(x[g & 3], x[(g + 1) & 3]);
          const __m128i middle = _mm_alignr_epi8(x[(g + 3) & 3], x[(g + 2) & 3], 4);
          x[g & 3] = _mm_sha256msg2_epu32(_mm_add_epi32(early, middle), x[(g + 3) & 3]);
        }
        const __m128i m = _mm_add_epi32(x[g & 3], _mm_load_si128((const __m128i *)K + g));
        cdgh[i] = _mm_sha256rnds2_epu32(cdgh[i], abef[i], m);
        abef[i] = _mm_sha256rnds2_epu32(abef[i], cdgh[i], _mm_shuffle_epi32(m, 0x0e));
      }
    }
#pragma GCC unroll 2
    for (int i = 0; i < streams; i++) {
      abef[i] = _mm_add_epi32(abef[i], abef0[i]);
      cdgh[i] = _mm_add_epi32(cdgh[i], cdgh0[i]);
    }
  }
#pragma GCC unroll 2
  for (int i = 0; i < streams; i++) {
    const __m128i low = _mm_shuffle_epi32(abef[i], 0x1b), high = _mm_shuffle_epi32(cdgh[i], 0xb1);
    _mm_storeu_si128((__m128i *)state[i], _mm_blend_epi16(low, high, 0xf0));
    _mm_storeu_si128((__m128i *)(state[i] + 4), _mm_alignr_epi8(high, low, 8));
  }
}

SHA static void compress1(uint32_t *state, const uint8_t *data, size_t count) {
  compress(1, &state, &data, count);
}

SHA static void compress2(uint32_t *const state[2], const uint8_t *const data[2], size_t count) {
  compress(2, state, data, count);
}

int sha256_available(void) {
  return __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sha");
}

#define WIDE 16
#define VECTOR __attribute__((target("avx512f,avx512bw")))
#define ROTATE(x, n) _mm512_ror_epi32(x, n)
#define XOR(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0x96)

static int has_wide(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

/* Words of 16 chunks: the first of each in w[0], and so on. */
VECTOR static inline __attribute__((always_inline)) void load_words(__m512i w[16], const uint8_t *const data[16],
                                                                    size_t at) {
  const __m512i order = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
  __m512i a[16], b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) a[i] = _mm512_loadu_si512(data[i] + at);
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const __m512i even0 = _mm512_shuffle_i32x4(a[i], a[i + 4], 0x88);
    const __m512i even1 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0x88);
    const __m512i odd0 = _mm512_shuffle_i32x4(a[i], a[i + 4], 0xdd);
    const __m512i odd1 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0xdd);
    w[i] = _mm512_shuffle_epi8(_mm512_shuffle_i32x4(even0, even1, 0x88), order);
    w[i + 4] = _mm512_shuffle_epi8(_mm512_shuffle_i32x4(odd0, odd1, 0x88), order);
    w[i + 8] = _mm512_shuffle_epi8(_mm512_shuffle_i32x4(even0, even1, 0xdd), order);
    w[i + 12] = _mm512_shuffle_epi8(_mm512_shuffle_i32x4(odd0, odd1, 0xdd), order);
  }
}

VECTOR static inline __attribute__((always_inline)) void compress_words(__m512i s[8], __m512i w[16]) {
  __m512i v[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) v[i] = s[i];
#pragma GCC unroll 64
  for (int t = 0; t < 64; t++) {
    const __m512i a = v[-t & 7], b = v[(1 - t) & 7], c = v[(2 - t) & 7], e = v[(4 - t) & 7];
    const __m512i f = v[(5 - t) & 7], g = v[(6 - t) & 7];
    if (t >= 16) {
      const __m512i x = w[(t + 1) & 15], y = w[(t + 14) & 15];
      const __m512i small0 = XOR(ROTATE(x, 7), ROTATE(x, 18), _mm512_srli_epi32(x, 3));
      const __m512i small1 = XOR(ROTATE(y, 17), ROTATE(y, 19), _mm512_srli_epi32(y, 10));
      w[t & 15] = _mm512_add_epi32(_mm512_add_epi32(w[t & 15], w[(t + 9) & 15]), _mm512_add_epi32(small0, small1));
    }
    const __m512i choice = _mm512_ternarylogic_epi32(e, f, g, 0xca);
    const __m512i majority = _mm512_ternarylogic_epi32(a, b, c, 0xe8);
    const __m512i big1 = XOR(ROTATE(e, 6), ROTATE(e, 11), ROTATE(e, 25));
    const __m512i big0 = XOR(ROTATE(a, 2), ROTATE(a, 13), ROTATE(a, 22));
    const __m512i input = _mm512_add_epi32(w[t & 15], _mm512_set1_epi32((int)K[t]));
    const __m512i first =
        _mm512_add_epi32(_mm512_add_epi32(v[(7 - t) & 7], input), _mm512_add_epi32(choice, big1));
    v[(3 - t) & 7] = _mm512_add_epi32(v[(3 - t) & 7], first);
    v[(7 - t) & 7] = _mm512_add_epi32(first, _mm512_add_epi32(big0, majority));
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) s[i] = _mm512_add_epi32(s[i], v[i]);
}

/* Puts `count` chunks at data[i] through the state of message i. */
VECTOR static inline void compress_wide(__m512i s[8], const uint8_t *const data[WIDE], size_t count) {
  __m512i w[16];
  for (size_t at = 0; at < count * CHUNK; at += CHUNK) {
    load_words(w, data, at);
    compress_words(s, w);
  }
}

/* The final state of message i is words[0..7][i]. */
VECTOR static void hash_wide(const struct block_hash *hash, const struct message messages[WIDE], uint32_t words[8][WIDE]) {
  __m512i s[8];
  const uint8_t *first[WIDE], *inner[WIDE], *last[WIDE];
  for (int i = 0; i < 8; i++) s[i] = _mm512_set1_epi32((int)hash->start[i]);
  for (int i = 0; i < WIDE; i++) {
    first[i] = messages[i].first;
    inner[i] = messages[i].inner;
    last[i] = messages[i].last;
  }
  compress_wide(s, first, firsts(hash));
  compress_wide(s, inner, inners(hash));
  compress_wide(s, last, hash->ends);
  for (int i = 0; i < 8; i++) _mm512_storeu_si512(words[i], s[i]);
}

#elif defined(__aarch64__)

#include <arm_neon.h>
#include <sys/auxv.h>

#define SHA __attribute__((target("+crypto")))

SHA static inline __attribute__((always_inline)) void compress(const int streams, uint32_t *const state[],
                                                               const uint8_t *const data[], size_t count) {
  uint32x4_t abcd[2], efgh[2], w[2][4];
#pragma GCC unroll 2
  for (int i = 0; i < streams; i++) {
    abcd[i] = vld1q_u32(state[i]);
    efgh[i] = vld1q_u32(state[i] + 4);
  }
  for (size_t at = 0; at < count * CHUNK; at += CHUNK) {
    const uint32x4_t abcd0[2] = {abcd[0], abcd[streams - 1]}, efgh0[2] = {efgh[0], efgh[streams - 1]};
#pragma GCC unroll 16
    for (int g = 0; g < 16; g++) {
#pragma GCC unroll 2
      for (int i = 0; i < streams; i++) {
        uint32x4_t *const x = w[i];
        if (g < 4) x[g] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data[i] + at + 16 * g)));
        else x[g & 3] = vsha256su1q_u32(vsha256su0q_u32(x[g & 3], x[(g + 1) & 3]), x[(g + 2) & 3], x[(g + 3) & 3]);
        const uint32x4_t m = vaddq_u32(x[g & 3], vld1q_u32(K + 4 * g)), before = abcd[i];
        abcd[i] = vsha256hq_u32(abcd[i], efgh[i], m);
        efgh[i] = vsha256h2q_u32(efgh[i], before, m);
      }
    }
#pragma GCC unroll 2
    for (int i = 0; i < streams; i++) {
      abcd[i] = vaddq_u32(abcd[i], abcd0[i]);
      efgh[i] = vaddq_u32(efgh[i], efgh0[i]);
    }
  }
#pragma GCC unroll 2
  for (int i = 0; i < streams; i++) {
    vst1q_u32(state[i], abcd[i]);
    vst1q_u32(state[i] + 4, efgh[i]);
  }
}

SHA static void compress1(uint32_t *state, const uint8_t *data, size_t count) {
  compress(1, &state, &data, count);
}

SHA static void compress2(uint32_t *const state[2], const uint8_t *const data[2], size_t count) {
  compress(2, state, data, count);
}

int sha256_available(void) { return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0; }

#else
#error "no instructions for SHA-256 are known for this processor"
#endif

static void put_digest(uint8_t *out, const uint32_t state[8]) {
  for (int i = 0; i < 8; i++) {
    const uint32_t word = __builtin_bswap32(state[i]);
    memcpy(out + 4 * i, &word, 4);
  }
}

/* What follows the last whole chunk of a message: `tail` of it, then padding to one or two chunks. Returns how many. */
static size_t pad(uint8_t out[2 * CHUNK], const uint8_t *tail, size_t size, uint64_t message_size) {
  const size_t chunks = size < CHUNK - 8 ? 1 : 2;
  const uint64_t bits = __builtin_bswap64(message_size * 8);
  memset(out, 0, chunks * CHUNK);
  if (size > 0) memcpy(out, tail, size);
  out[size] = 0x80;
  memcpy(out + chunks * CHUNK - 8, &bits, 8);
  return chunks;
}

void block_hash_init(struct block_hash *hash, size_t size, const uint8_t *salt, size_t salt_size) {
  const size_t left = salt_size % CHUNK;
  memset(hash, 0, sizeof *hash);
  memcpy(hash->start, FIRST, sizeof FIRST);
  hash->size = size;
  hash->left = left;
  compress1(hash->start, salt, salt_size / CHUNK);
  if (left > 0) memcpy(hash->salt, salt + salt_size - left, left);
  hash->ends = pad(hash->padding, hash->salt, left, size + salt_size);
}

static void hash_one(const struct block_hash *hash, const uint8_t *data, uint8_t *out) {
  uint32_t state[8];
  struct message message;
  make_message(&message, hash, data);
  memcpy(state, hash->start, sizeof state);
  compress1(state, message.first, firsts(hash));
  compress1(state, message.inner, inners(hash));
  compress1(state, message.last, hash->ends);
  put_digest(out, state);
}

static void hash_two(const struct block_hash *hash, const uint8_t *data, uint8_t *out) {
  uint32_t first[8], second[8];
  uint32_t *const state[2] = {first, second};
  struct message a, b;
  make_message(&a, hash, data);
  make_message(&b, hash, data + hash->size);
  memcpy(first, hash->start, sizeof first);
  memcpy(second, hash->start, sizeof second);
  compress2(state, (const uint8_t *const[]){a.first, b.first}, firsts(hash));
  compress2(state, (const uint8_t *const[]){a.inner, b.inner}, inners(hash));
  compress2(state, (const uint8_t *const[]){a.last, b.last}, hash->ends);
  put_digest(out, first);
  put_digest(out + DIGEST, second);
}

#ifdef WIDE
/* From this number of blocks on one pass over WIDE of them takes less time than one over each pair. */
enum { WORTH_WIDE = 6 };

/* Hashes up to WIDE blocks; where there are fewer the last one is hashed again. */
static void hash_many(const struct block_hash *hash, const uint8_t *data, size_t count, uint8_t *out) {
  struct message messages[WIDE];
  uint32_t words[8][WIDE];
  for (size_t i = 0; i < WIDE; i++) make_message(messages + i, hash, data + (i < count ? i : count - 1) * hash->size);
  hash_wide(hash, messages, words);
  for (size_t i = 0; i < count; i++) {
    uint32_t state[8];
    for (int k = 0; k < 8; k++) state[k] = words[k][i];
    put_digest(out + i * DIGEST, state);
  }
}
#endif

void hash_blocks(const struct block_hash *hash, const uint8_t *data, size_t count, uint8_t *out) {
#ifdef WIDE
  while (count >= WORTH_WIDE && has_wide()) {
    const size_t now = count < WIDE ? count : WIDE;
    hash_many(hash, data, now, out);
    data += now * hash->size;
    out += now * DIGEST;
    count -= now;
  }
#endif
  for (; count >= 2; count -= 2, data += 2 * hash->size, out += 2 * DIGEST) hash_two(hash, data, out);
  if (count == 1) hash_one(hash, data, out);
}

void stream_init(struct stream_hash *stream) {
  memcpy(stream->state, FIRST, sizeof FIRST);
  stream->size = 0;
}

void stream_update(struct stream_hash *stream, const uint8_t *data, size_t size, const struct block_hash *hash,
                   size_t count, uint8_t *out) {
  const uint8_t *block = data;
  const size_t used = stream->size % CHUNK;
  stream->size += size;
  if (used > 0) {
    const size_t now = size < CHUNK - used ? size : CHUNK - used;
    memcpy(stream->pending + used, data, now);
    data += now;
    size -= now;
    if (used + now == CHUNK) compress1(stream->state, stream->pending, 1);
  }
  size_t chunks = size / CHUNK;
  for (; count > 0; count--, block += hash->size, out += DIGEST) {
    const size_t both = chunks < hash->size / CHUNK ? chunks : hash->size / CHUNK;
    const uint8_t *ends[2] = {data + both * CHUNK, hash->padding};
    uint32_t leaf[8];
    memcpy(leaf, hash->start, sizeof leaf);
    compress2((uint32_t *const[]){stream->state, leaf}, (const uint8_t *const[]){data, block}, both);
    compress1(leaf, block + both * CHUNK, hash->size / CHUNK - both);
    if (chunks > both) compress2((uint32_t *const[]){stream->state, leaf}, ends, 1);
    else compress1(leaf, hash->padding, 1);
    put_digest(out, leaf);
    const size_t done = chunks > both ? both + 1 : both;
    data += done * CHUNK;
    size -= done * CHUNK;
    chunks -= done;
  }
  compress1(stream->state, data, chunks);
  if (size % CHUNK > 0) memcpy(stream->pending, data + chunks * CHUNK, size % CHUNK);
}

void stream_final(struct stream_hash *stream, uint8_t *out) {
  uint8_t padding[2 * CHUNK];
  compress1(stream->state, padding, pad(padding, stream->pending, stream->size % CHUNK, stream->size));
  put_digest(out, stream->state);
}
