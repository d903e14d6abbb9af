/* Digests many files in threads: the native part of src/node/file-digester.ts, with the same rules. */
#ifndef SEALTREE_DIGESTER_H
#define SEALTREE_DIGESTER_H

#include <sys/types.h>

#include "verity.h"

enum { MAX_CONTENT = 64 };

/* By what a change shows. */
struct stamp {
  int64_t size, mtime_sec, mtime_nsec, ctime_sec, ctime_nsec;
};

/* What became of a file. */
enum outcome {
  DIGESTED = 0,     /* text: 64 hexadecimal digits */
  READ = 1,         /* text: the content */
  FAILED = 2,       /* value: error number */
  ENDED = 3,        /* value: where the file ended, before `limit` */
  SIZE_CHANGED = 4, /* value: the size it has now */
  TIMES_CHANGED = 5,
};

struct result {
  enum outcome outcome;
  int64_t value, limit;
};

struct file {
  struct file *next;
  uint32_t index;
  int content;
  struct stamp stamp;
  int64_t begun;        /* bytes whose digesting has begun */
  struct large *large;  /* of a file that is digested in parts */
  struct result result;
  size_t text_size;
  char text[MAX_CONTENT];
  char path[];
};

struct digester;

/* threads: with the one that calls `digester_help`. Returns NULL without memory. */
struct digester *digester_new(const struct verity *verity, int threads, int follow);

/*
 * Asks for the digest of a file, or for the content of one of at most MAX_CONTENT bytes. The path is `directory`, a slash
 * and `name`; `name` alone if the directory has no length. Returns 0, or -1 without memory.
 */
int digester_add(struct digester *digester, uint32_t index, const char *directory, const char *name,
                 const struct stamp *stamp, int content);

/* Works on some files, or waits until another thread has done so. Returns whether there is more to do. */
int digester_help(struct digester *digester);

/* Bytes of files, and something for each, that nobody has begun. */
int64_t digester_waiting(struct digester *digester);

/* Files that are settled, a list to be freed. After a failure what was not begun is dropped. */
struct file *digester_settled(struct digester *digester);

/* Ends the threads, which takes as long as one read, and frees everything. */
void digester_free(struct digester *digester);

#endif
