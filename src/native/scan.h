/* What a directory holds, for src/source/directory.ts: one call for all names, statuses, link targets and attributes. */
#ifndef SEALTREE_SCAN_H
#define SEALTREE_SCAN_H

#include "digester.h"

enum { SKIP_DEVICES = 1, NO_XATTRS = 2, USER_XATTRS = 4, ROOT = 8 };

/* Error numbers of our own. */
enum { REPLACED = -1 };

/* Numbers of an entry; the lengths of key and value of each of its attributes follow. */
enum {
  MODE, NLINK, UID, GID, RDEV, SIZE, SIZE_HIGH, MTIME, MTIME_HIGH, MTIME_NSEC, CTIME, CTIME_HIGH, CTIME_NSEC,
  INO, INO_HIGH, DEV, NAME_SIZE, LINK_SIZE, XATTRS, NUMBERS
};

struct listing {
  uint32_t *numbers;
  size_t count, room;
  char *text; /* of each entry its name, link target and attributes, without ends */
  size_t text_size, text_room;
  int error;        /* error number, or one of ours */
  char failed[256]; /* the name it is about, empty for the directory itself */
};

/*
 * Lists the directory at `place`, a path that leaves room for a name behind it, sorted by name; with ROOT the directory
 * itself comes first, without a name, else it has to be the one with this inode and device. Regular files that are not
 * empty are given to the digester, the first with `index`, each with the next; those of at most MAX_CONTENT bytes for
 * their content. Symlinks are not followed. Returns 0, or -1 with `error` and `failed` set. To be freed in any case.
 */
int scan_directory(struct listing *out, const char *place, unsigned flags, uint64_t inode, uint32_t device,
                   struct digester *digester, uint32_t index);

void listing_free(struct listing *listing);

#endif
