/* fs-verity digests with SHA-256. Documentation/filesystems/fsverity.rst of the kernel. */
#ifndef SEALTREE_VERITY_H
#define SEALTREE_VERITY_H

#include "sha256.h"

enum { MIN_BLOCK = 1024, MAX_BLOCK = 65536, MAX_SALT = 32, MAX_LEVELS = 11 };

/* How trees are made; one for all files of a run. */
struct verity {
  struct block_hash blocks;
  struct block_hash descriptors;
  uint8_t salt[MAX_SALT];
  size_t salt_size;
};

/* The tree of one file while its data comes: a block for each level, as in src/core/verity/merkle.ts. */
struct tree {
  const struct verity *verity;
  uint8_t *blocks[MAX_LEVELS];
  size_t used[MAX_LEVELS];
  uint64_t done[MAX_LEVELS];
  int height;
};

/* block_size: a power of two from MIN_BLOCK to MAX_BLOCK; salt_size: at most MAX_SALT. */
void verity_init(struct verity *verity, size_t block_size, const uint8_t *salt, size_t salt_size);

/* Begins a file. `tree` held zeros or a file before; `tree->verity` is set. */
void tree_begin(struct tree *tree);

/* Adds digests of data blocks. Returns 0, or -1 without memory. */
int tree_add(struct tree *tree, const uint8_t *leaves, size_t count);

/* Writes the digest of a file of `size` bytes, whose blocks were all added. Returns 0, or -1 without memory. */
int tree_digest(struct tree *tree, uint64_t size, uint8_t digest[DIGEST]);

void tree_free(struct tree *tree);

/* Hexadecimal digits of a digest, without an end. */
void put_hex(char out[2 * DIGEST], const uint8_t digest[DIGEST]);

#endif
