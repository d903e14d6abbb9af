#include "digester.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes read at once, which stay in the second level of a processor's cache, or one block. */
enum { PIECE = 256 * 1024 };

/* Larger files are digested in parts of this size, a whole number of blocks of any size. */
enum { PART = 4 * 1024 * 1024 };

/* A thread takes files of about this weight at once; each weighs its size and what opening it costs. */
enum { TURN = 256 * 1024, FILE_WEIGHT = 10 * 1024 };

struct leaves {
  struct leaves *next;
  int64_t start;
  size_t count;
  uint8_t digests[];
};

struct large {
  struct tree tree;
  int64_t added;           /* bytes whose digests the tree has */
  struct leaves *early;    /* of parts behind, in no order */
  int running;             /* parts that threads work on */
};

/* What each thread has for itself. */
struct worker {
  struct digester *digester;
  pthread_t thread;
  uint8_t *buffer;
  struct tree tree;
  uint8_t digests[PIECE / MIN_BLOCK * DIGEST];
};

struct digester {
  struct verity verity;
  int follow, threads;
  size_t piece;
  pthread_mutex_t lock; /* of all below but `stopped` and a worker's own */
  pthread_cond_t more, less;
  struct file *first, **last;
  struct file *settled;
  int64_t waiting;
  int running, started;
  atomic_int stopped;
  struct worker workers[];
};

struct digester *digester_new(const struct verity *verity, int threads, int follow) {
  struct digester *digester = calloc(1, sizeof *digester + (size_t)threads * sizeof(struct worker));
  if (digester == NULL) return NULL;
  digester->verity = *verity;
  digester->follow = follow;
  digester->threads = threads;
  digester->piece = verity->blocks.size > PIECE ? verity->blocks.size : PIECE;
  digester->last = &digester->first;
  pthread_mutex_init(&digester->lock, NULL);
  pthread_cond_init(&digester->more, NULL);
  pthread_cond_init(&digester->less, NULL);
  for (int i = 0; i < threads; i++) {
    digester->workers[i].digester = digester;
    digester->workers[i].tree.verity = &digester->verity;
  }
  return digester;
}

/* ---- one file */

static int fail(struct result *result, enum outcome outcome, int64_t value, int64_t limit) {
  *result = (struct result){outcome, value, limit};
  return -1;
}

/*
 * The functions that take a result return 0, or -1 with the reason in it: of a file in parts each thread has its own.
 */

/* Reads exactly `size` bytes at `start` of a file that is taken to end at `limit`. */
static int read_all(struct result *result, int fd, uint8_t *buffer, size_t size, int64_t start, int64_t limit) {
  for (size_t filled = 0; filled < size;) {
    const ssize_t count = pread(fd, buffer + filled, size - filled, start + (int64_t)filled);
    if (count == 0) return fail(result, ENDED, start + (int64_t)filled, limit);
    if (count > 0) filled += (size_t)count;
    else if (errno != EINTR) return fail(result, FAILED, errno, 0);
  }
  return 0;
}

/* Whether the open file is as it was when it was chosen. */
static int check_unchanged(const struct stamp *was, struct result *result, int fd) {
  struct stat now;
  if (fstat(fd, &now) < 0) return fail(result, FAILED, errno, 0);
  if (now.st_size != was->size) return fail(result, SIZE_CHANGED, now.st_size, 0);
  if (now.st_mtim.tv_nsec != was->mtime_nsec || now.st_ctim.tv_nsec != was->ctime_nsec ||
      now.st_mtim.tv_sec != was->mtime_sec || now.st_ctim.tv_sec != was->ctime_sec)
    return fail(result, TIMES_CHANGED, 0, 0);
  return 0;
}

/* Reads a range and gives the digests of its blocks to `take`. */
static int hash_range(struct worker *worker, struct result *result, int fd, int64_t start, int64_t size,
                      int (*take)(void *target, const uint8_t *digests, size_t count), void *target) {
  const struct digester *digester = worker->digester;
  const size_t block = digester->verity.blocks.size;
  if (worker->buffer == NULL) worker->buffer = malloc(digester->piece);
  if (worker->buffer == NULL) return fail(result, FAILED, ENOMEM, 0);
  for (int64_t at = 0; at < size; at += (int64_t)digester->piece) {
    const size_t now = size - at < (int64_t)digester->piece ? (size_t)(size - at) : digester->piece;
    const size_t count = (now + block - 1) / block;
    if (atomic_load(&digester->stopped)) return fail(result, FAILED, ECANCELED, 0);
    if (read_all(result, fd, worker->buffer, now, start + at, start + size) < 0) return -1;
    memset(worker->buffer + now, 0, count * block - now);
    hash_blocks(&digester->verity.blocks, worker->buffer, count, worker->digests);
    if (take(target, worker->digests, count) < 0) return fail(result, FAILED, ENOMEM, 0);
  }
  return 0;
}

static int take_into_tree(void *tree, const uint8_t *digests, size_t count) {
  return tree_add(tree, digests, count);
}

static int take_into_leaves(void *target, const uint8_t *digests, size_t count) {
  struct leaves *leaves = target;
  memcpy(leaves->digests + leaves->count * DIGEST, digests, count * DIGEST);
  leaves->count += count;
  return 0;
}

static void put_digest_of(struct file *file, struct tree *tree) {
  uint8_t digest[DIGEST];
  if (tree_digest(tree, (uint64_t)file->stamp.size, digest) < 0) fail(&file->result, FAILED, ENOMEM, 0);
  put_hex(file->text, digest);
  file->text_size = 2 * DIGEST;
}

/* Without waiting should it be a fifo by now. */
static int open_file(const struct digester *digester, const char *path, struct result *result) {
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (digester->follow ? 0 : O_NOFOLLOW);
  for (;;) {
    const int fd = open(path, flags);
    if (fd >= 0) return fd;
    if (errno != EINTR) return fail(result, FAILED, errno, 0);
  }
}

static void settle_whole(struct worker *worker, struct file *file) {
  struct result *result = &file->result;
  const int fd = open_file(worker->digester, file->path, result);
  if (fd < 0) return;
  if (file->content) {
    result->outcome = READ;
    file->text_size = (size_t)file->stamp.size;
    if (read_all(result, fd, (uint8_t *)file->text, file->text_size, 0, file->stamp.size) == 0)
      check_unchanged(&file->stamp, result, fd);
  } else {
    tree_begin(&worker->tree);
    if (hash_range(worker, result, fd, 0, file->stamp.size, take_into_tree, &worker->tree) == 0 &&
        check_unchanged(&file->stamp, result, fd) == 0)
      put_digest_of(file, &worker->tree);
  }
  close(fd);
}

/* Returns the digests of a part's blocks, or NULL with the reason in `result`. */
static struct leaves *hash_part(struct worker *worker, const struct file *file, struct result *result, int64_t start,
                                int64_t size) {
  const size_t block = worker->digester->verity.blocks.size;
  struct leaves *leaves = malloc(sizeof *leaves + ((size_t)size + block - 1) / block * DIGEST);
  if (leaves == NULL) {
    fail(result, FAILED, ENOMEM, 0);
    return NULL;
  }
  leaves->start = start;
  leaves->count = 0;
  const int fd = open_file(worker->digester, file->path, result);
  const int done = fd >= 0 && hash_range(worker, result, fd, start, size, take_into_leaves, leaves) == 0 &&
                   check_unchanged(&file->stamp, result, fd) == 0;
  if (fd >= 0) close(fd);
  if (done) return leaves;
  free(leaves);
  return NULL;
}

/* ---- the queue, all under the lock */

static void drop_large(struct file *file) {
  struct large *large = file->large;
  if (large == NULL) return;
  while (large->early != NULL) {
    struct leaves *next = large->early->next;
    free(large->early);
    large->early = next;
  }
  tree_free(&large->tree);
  free(large);
  file->large = NULL;
}

static void free_files(struct file *file) {
  while (file != NULL) {
    struct file *next = file->next;
    drop_large(file);
    free(file);
    file = next;
  }
}

static void settle(struct digester *digester, struct file *file) {
  drop_large(file);
  file->next = digester->settled;
  digester->settled = file;
}

static int64_t weight_of(const struct file *file) { return file->stamp.size - file->begun + FILE_WEIGHT; }

static struct file *take_first(struct digester *digester) {
  struct file *file = digester->first;
  digester->first = file->next;
  if (digester->first == NULL) digester->last = &digester->first;
  digester->waiting -= weight_of(file);
  return file;
}

/* Nothing is begun after a failure; a file that threads work on is settled by the last of them. */
static void drop_queue(struct digester *digester) {
  while (digester->first != NULL) {
    struct file *file = take_first(digester);
    file->begun = file->stamp.size;
    if (file->large != NULL && file->large->running > 0) continue;
    file->next = NULL;
    free_files(file);
  }
}

/* Adds digests of parts to the tree in their order. Returns 0, or -1 without memory. */
static int add_in_order(struct large *large, struct leaves *leaves) {
  leaves->next = large->early;
  large->early = leaves;
  for (struct leaves **at = &large->early; *at != NULL;) {
    struct leaves *one = *at;
    if (one->start != large->added) {
      at = &one->next;
      continue;
    }
    const int result = tree_add(&large->tree, one->digests, one->count);
    *at = one->next;
    free(one);
    if (result < 0) return -1;
    large->added += PART;
    at = &large->early;
  }
  return 0;
}

static void settle_part(struct worker *worker) {
  struct digester *digester = worker->digester;
  struct file *file = digester->first;
  struct large *large = file->large;
  const int64_t start = file->begun, rest = file->stamp.size - start, size = rest < PART ? rest : PART;
  struct result result = {DIGESTED, 0, 0};
  if (rest == size) take_first(digester);
  else digester->waiting -= size;
  file->begun += size;
  large->running++;
  pthread_mutex_unlock(&digester->lock);
  struct leaves *leaves = hash_part(worker, file, &result, start, size);
  pthread_mutex_lock(&digester->lock);
  if (leaves != NULL && add_in_order(large, leaves) < 0) fail(&result, FAILED, ENOMEM, 0);
  if (result.outcome != DIGESTED) {
    file->result = result;
    drop_queue(digester);
  } else if (large->added >= file->stamp.size) {
    put_digest_of(file, &large->tree);
  }
  large->running--;
  if (large->running == 0 && file->begun == file->stamp.size) settle(digester, file);
}

static void settle_some(struct worker *worker) {
  struct digester *digester = worker->digester;
  struct file *taken = NULL, **end = &taken;
  for (int64_t weight = 0; weight < TURN && digester->first != NULL && digester->first->large == NULL;) {
    *end = take_first(digester);
    weight += weight_of(*end);
    end = &(*end)->next;
    *end = NULL;
  }
  pthread_mutex_unlock(&digester->lock);
  for (struct file *file = taken; file != NULL; file = file->next) settle_whole(worker, file);
  pthread_mutex_lock(&digester->lock);
  while (taken != NULL) {
    struct file *file = taken;
    taken = file->next;
    if (file->result.outcome > READ) drop_queue(digester);
    settle(digester, file);
  }
}

/* Works on what is first in the queue, which is not empty. */
static void work(struct worker *worker) {
  struct digester *digester = worker->digester;
  digester->running++;
  if (digester->first->large != NULL) settle_part(worker);
  else settle_some(worker);
  digester->running--;
  pthread_cond_signal(&digester->less);
}

static void *run_worker(void *argument) {
  struct worker *worker = argument;
  struct digester *digester = worker->digester;
  pthread_mutex_lock(&digester->lock);
  while (!atomic_load(&digester->stopped)) {
    if (digester->first != NULL) work(worker);
    else pthread_cond_wait(&digester->more, &digester->lock);
  }
  pthread_mutex_unlock(&digester->lock);
  return NULL;
}

/* Signals are for the threads of Node. A thread that cannot be had is done without. */
static void start_worker(struct digester *digester) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  struct worker *worker = &digester->workers[digester->started + 1];
  if (pthread_create(&worker->thread, NULL, run_worker, worker) == 0) digester->started++;
  else digester->threads = digester->started + 1;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- for the calling thread */

int digester_add(struct digester *digester, uint32_t index, const char *directory, const char *name,
                 const struct stamp *stamp, int content) {
  const size_t directory_size = strlen(directory), name_size = strlen(name);
  struct file *file = malloc(sizeof *file + directory_size + name_size + 2);
  if (file == NULL) return -1;
  *file = (struct file){.index = index, .content = content, .stamp = *stamp};
  char *end = file->path;
  if (directory_size > 0) {
    memcpy(end, directory, directory_size);
    end += directory_size;
    if (end[-1] != '/') *end++ = '/';
  }
  memcpy(end, name, name_size + 1);
  if (stamp->size > PART) {
    file->large = calloc(1, sizeof *file->large);
    if (file->large == NULL) {
      free(file);
      return -1;
    }
    file->large->tree.verity = &digester->verity;
  }
  pthread_mutex_lock(&digester->lock);
  *digester->last = file;
  digester->last = &file->next;
  digester->waiting += weight_of(file);
  pthread_cond_signal(&digester->more);
  pthread_mutex_unlock(&digester->lock);
  if (digester->started + 1 < digester->threads) start_worker(digester);
  return 0;
}

int digester_help(struct digester *digester) {
  pthread_mutex_lock(&digester->lock);
  if (digester->first != NULL) work(&digester->workers[0]);
  else if (digester->running > 0) pthread_cond_wait(&digester->less, &digester->lock);
  const int more = digester->first != NULL || digester->running > 0;
  pthread_mutex_unlock(&digester->lock);
  return more;
}

int64_t digester_waiting(struct digester *digester) {
  pthread_mutex_lock(&digester->lock);
  const int64_t waiting = digester->waiting;
  pthread_mutex_unlock(&digester->lock);
  return waiting;
}

struct file *digester_settled(struct digester *digester) {
  pthread_mutex_lock(&digester->lock);
  struct file *settled = digester->settled;
  digester->settled = NULL;
  pthread_mutex_unlock(&digester->lock);
  return settled;
}

void digester_free(struct digester *digester) {
  pthread_mutex_lock(&digester->lock);
  atomic_store(&digester->stopped, 1);
  pthread_cond_broadcast(&digester->more);
  pthread_mutex_unlock(&digester->lock);
  for (int i = 1; i <= digester->started; i++) pthread_join(digester->workers[i].thread, NULL);
  free_files(digester->first);
  free_files(digester->settled);
  for (int i = 0; i < digester->threads; i++) {
    free(digester->workers[i].buffer);
    tree_free(&digester->workers[i].tree);
  }
  pthread_cond_destroy(&digester->less);
  pthread_cond_destroy(&digester->more);
  pthread_mutex_destroy(&digester->lock);
  free(digester);
}
