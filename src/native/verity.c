#include "verity.h"

#include <stdlib.h>
#include <string.h>

enum { DESCRIPTOR = 256 };

void verity_init(struct verity *verity, size_t block_size, const uint8_t *salt, size_t salt_size) {
  uint8_t padded[CHUNK] = {0};
  block_hash_init(&verity->descriptors, DESCRIPTOR, NULL, 0);
  verity->salt_size = salt_size;
  if (salt_size > 0) memcpy(verity->salt, salt, salt_size);
  memcpy(padded, verity->salt, salt_size);
  block_hash_init(&verity->blocks, block_size, padded, salt_size > 0 ? CHUNK : 0);
}

void tree_begin(struct tree *tree) { tree->height = 0; }

/* Hashes the block of a level, padded with zeros, into the level above. A full block waits until one more digest is
 * there: it might be the only one of its level. Returns 0, or -1 without memory. */
static int push_up(struct tree *tree, int level);

static int make_room(struct tree *tree, int level) {
  if (level == tree->height) {
    if (tree->blocks[level] == NULL) tree->blocks[level] = malloc(tree->verity->blocks.size);
    if (tree->blocks[level] == NULL) return -1;
    tree->used[level] = 0;
    tree->done[level] = 0;
    tree->height++;
  }
  return tree->used[level] == tree->verity->blocks.size ? push_up(tree, level) : 0;
}

static int push_up(struct tree *tree, int level) {
  const size_t size = tree->verity->blocks.size;
  memset(tree->blocks[level] + tree->used[level], 0, size - tree->used[level]);
  if (make_room(tree, level + 1) < 0) return -1;
  hash_blocks(&tree->verity->blocks, tree->blocks[level], 1, tree->blocks[level + 1] + tree->used[level + 1]);
  tree->used[level + 1] += DIGEST;
  tree->used[level] = 0;
  tree->done[level]++;
  return 0;
}

int tree_add(struct tree *tree, const uint8_t *leaves, size_t count) {
  while (count > 0) {
    if (make_room(tree, 0) < 0) return -1;
    const size_t room = (tree->verity->blocks.size - tree->used[0]) / DIGEST;
    const size_t now = count < room ? count : room;
    memcpy(tree->blocks[0] + tree->used[0], leaves, now * DIGEST);
    tree->used[0] += now * DIGEST;
    leaves += now * DIGEST;
    count -= now;
  }
  return 0;
}

int tree_digest(struct tree *tree, uint64_t size, uint8_t digest[DIGEST]) {
  uint8_t descriptor[DESCRIPTOR] = {1, 1, (uint8_t)__builtin_ctzl(tree->verity->blocks.size),
                                    (uint8_t)tree->verity->salt_size};
  for (int i = 0; i < 8; i++) descriptor[8 + i] = (uint8_t)(size >> (8 * i));
  for (int level = 0; level < tree->height; level++) {
    if (tree->done[level] == 0 && tree->used[level] == DIGEST) {
      memcpy(descriptor + 16, tree->blocks[level], DIGEST);
      break;
    }
    if (push_up(tree, level) < 0) return -1;
  }
  memcpy(descriptor + 80, tree->verity->salt, tree->verity->salt_size);
  hash_blocks(&tree->verity->descriptors, descriptor, 1, digest);
  return 0;
}

void tree_free(struct tree *tree) {
  for (int level = 0; level < MAX_LEVELS; level++) free(tree->blocks[level]);
}

void put_hex(char out[2 * DIGEST], const uint8_t digest[DIGEST]) {
  for (int i = 0; i < DIGEST; i++) {
    out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
    out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
  }
}
