/* SHA-256 of several messages of one length at once. FIPS 180-4; fs-verity's use of it: fsverity.rst of the kernel. */
#ifndef SEALTREE_SHA256_H
#define SEALTREE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { DIGEST = 32, CHUNK = 64 };

/* What the hashes of blocks of one size, behind one salt, have in common. */
struct block_hash {
  uint32_t start[8];          /* state behind the whole chunks of the salt */
  uint8_t salt[CHUNK];        /* what is left of the salt */
  size_t left;                /* bytes of that */
  uint8_t padding[2 * CHUNK]; /* what follows a block, behind room for its last `left` bytes */
  size_t ends;                /* chunks of that */
  size_t size;                /* bytes of a block, a multiple of CHUNK */
};

/* Whether this processor has instructions for SHA-256; nothing else here may be called where it has not. */
int sha256_available(void);

/* Fills in `hash`. The salt, of any size, is hashed before each block. */
void block_hash_init(struct block_hash *hash, size_t size, const uint8_t *salt, size_t salt_size);

/* Writes the digests of `count` blocks, which lie behind each other, to `out`, DIGEST bytes each. */
void hash_blocks(const struct block_hash *hash, const uint8_t *data, size_t count, uint8_t *out);

/* The hash of a long message together with those of blocks in it: each works while the other one waits. */
struct stream_hash {
  uint32_t state[8];
  uint64_t size;            /* bytes of the message so far */
  uint8_t pending[CHUNK];   /* its last size % CHUNK bytes */
};

void stream_init(struct stream_hash *stream);

/* Adds data to the message, and writes the digests of the `count` blocks at its beginning to `out`. Their salt is of whole
 * chunks. */
void stream_update(struct stream_hash *stream, const uint8_t *data, size_t size, const struct block_hash *hash,
                   size_t count, uint8_t *out);

void stream_final(struct stream_hash *stream, uint8_t *out);

#endif
