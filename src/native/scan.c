#define _GNU_SOURCE
#include "scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The largest list and value of the kernel; as little as most files need is offered first, since it allocates that. */
enum { SMALL = 1024, LARGE = 65536 };

static int failure(struct listing *out, int error, const char *name) {
  out->error = error;
  memccpy(out->failed, name, 0, sizeof out->failed - 1);
  return -1;
}

/* Room for `more` bytes of text. Returns where, or NULL without memory. */
static char *text_room(struct listing *out, size_t more) {
  if (out->text == NULL || out->text_size + more > out->text_room) {
    const size_t room = 2 * (out->text_size + more) + SMALL;
    char *text = realloc(out->text, room);
    if (text == NULL) return NULL;
    out->text = text;
    out->text_room = room;
  }
  return out->text + out->text_size;
}

static uint32_t *number_room(struct listing *out, size_t more) {
  if (out->count + more > out->room) {
    const size_t room = 2 * (out->count + more);
    uint32_t *numbers = realloc(out->numbers, room * sizeof *numbers);
    if (numbers == NULL) return NULL;
    out->numbers = numbers;
    out->room = room;
  }
  return out->numbers + out->count;
}

static int add_text(struct listing *out, const char *text, size_t size) {
  char *to = text_room(out, size);
  if (to == NULL) return -1;
  if (size > 0) memcpy(to, text, size);
  out->text_size += size;
  return 0;
}

/* Reads the list of keys, or the value of one, to behind the text. Returns its length, or -1 with errno. */
static ssize_t read_xattr(struct listing *out, int fd, const char *path, const char *key) {
  for (size_t size = SMALL;; size = LARGE) {
    char *to = text_room(out, size);
    if (to == NULL) return -1;
    const ssize_t length = key == NULL ? (path == NULL ? flistxattr(fd, to, size) : llistxattr(path, to, size))
                           : path == NULL ? fgetxattr(fd, key, to, size)
                                          : lgetxattr(path, key, to, size);
    if (length >= 0 || errno != ERANGE || size == LARGE) return length;
  }
}

/* Adds the attributes of the file at `path`, or of `fd` without a path. Returns how many, or -1 with errno. */
static int add_xattrs(struct listing *out, int fd, const char *path, unsigned flags) {
  const ssize_t size = flags & NO_XATTRS ? 0 : read_xattr(out, fd, path, NULL);
  if (size <= 0) return (int)size;
  char *keys = malloc((size_t)size);
  if (keys == NULL) return -1;
  memcpy(keys, out->text + out->text_size, (size_t)size);
  int count = 0;
  for (const char *key = keys; count >= 0 && key < keys + size; key += strlen(key) + 1) {
    if (flags & USER_XATTRS && strncmp(key, "user.", 5) != 0) continue;
    uint32_t *numbers = number_room(out, 2);
    const ssize_t length =
        numbers == NULL || add_text(out, key, strlen(key)) < 0 ? -1 : read_xattr(out, fd, path, key);
    if (length < 0) {
      count = -1;
      break;
    }
    numbers[0] = (uint32_t)strlen(key);
    numbers[1] = (uint32_t)length;
    out->text_size += (size_t)length;
    out->count += 2;
    count++;
  }
  free(keys);
  return count;
}

/* As the kernel packs device numbers in 32 bits. */
static uint32_t device_number(uint32_t major, uint32_t minor) {
  return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

static void put64(uint32_t *numbers, uint64_t value) {
  numbers[0] = (uint32_t)value;
  numbers[1] = (uint32_t)(value >> 32);
}

/* Adds one entry. `path` is NULL for the directory itself. Returns 0, or -1 with errno. */
static int add_entry(struct listing *out, int fd, const char *name, const char *path, unsigned flags, struct statx *status) {
  const int how = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name == '\0' ? AT_EMPTY_PATH : 0);
  if (statx(fd, name, how, STATX_BASIC_STATS, status) < 0) return -1;
  const size_t at = out->count;
  ssize_t link_size = 0;
  if (number_room(out, NUMBERS) == NULL || add_text(out, name, strlen(name)) < 0) return -1;
  out->count += NUMBERS;
  if (S_ISLNK(status->stx_mode)) {
    char *to = text_room(out, PATH_MAX);
    link_size = to == NULL ? -1 : readlinkat(fd, name, to, PATH_MAX);
    if (link_size < 0) return -1;
    out->text_size += (size_t)link_size;
  }
  const int xattrs = add_xattrs(out, fd, path, flags);
  if (xattrs < 0) return -1;
  uint32_t *numbers = out->numbers + at;
  numbers[MODE] = status->stx_mode;
  numbers[NLINK] = status->stx_nlink;
  numbers[UID] = status->stx_uid;
  numbers[GID] = status->stx_gid;
  numbers[RDEV] = device_number(status->stx_rdev_major, status->stx_rdev_minor);
  put64(numbers + SIZE, status->stx_size);
  put64(numbers + MTIME, (uint64_t)status->stx_mtime.tv_sec);
  numbers[MTIME_NSEC] = status->stx_mtime.tv_nsec;
  put64(numbers + CTIME, (uint64_t)status->stx_ctime.tv_sec);
  numbers[CTIME_NSEC] = status->stx_ctime.tv_nsec;
  put64(numbers + INO, status->stx_ino);
  numbers[DEV] = device_number(status->stx_dev_major, status->stx_dev_minor);
  numbers[NAME_SIZE] = (uint32_t)strlen(name);
  numbers[LINK_SIZE] = (uint32_t)link_size;
  numbers[XATTRS] = (uint32_t)xattrs;
  return 0;
}

/* The entries of a directory, sorted. */
struct entries {
  struct dirent64 **sorted;
  size_t count;
  char *memory; /* where they lie */
};

static int compare_names(const void *a, const void *b) {
  const struct dirent64 *const *first = a, *const *second = b;
  return strcmp((*first)->d_name, (*second)->d_name);
}

static int is_wanted(const struct dirent64 *entry, unsigned flags) {
  if (flags & SKIP_DEVICES && (entry->d_type == DT_CHR || entry->d_type == DT_BLK)) return 0;
  return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* Returns 0, or -1 with errno. */
static int read_entries(struct entries *out, int fd, unsigned flags) {
  size_t size = 0, room = 0;
  for (;;) {
    if (room - size < SMALL) {
      room = 2 * room + 32 * SMALL;
      char *memory = realloc(out->memory, room);
      if (memory == NULL) return -1;
      out->memory = memory;
    }
    const ssize_t length = getdents64(fd, out->memory + size, room - size);
    if (length < 0) return -1;
    if (length == 0) break;
    size += (size_t)length;
  }
  for (int pass = 0; pass < 2; pass++) {
    out->count = 0;
    for (size_t at = 0; at < size;) {
      struct dirent64 *entry = (struct dirent64 *)(out->memory + at);
      if (is_wanted(entry, flags)) {
        if (pass == 1) out->sorted[out->count] = entry;
        out->count++;
      }
      at += entry->d_reclen;
    }
    if (pass == 0) out->sorted = malloc((out->count + 1) * sizeof *out->sorted);
    if (out->sorted == NULL) return -1;
  }
  qsort(out->sorted, out->count, sizeof *out->sorted, compare_names);
  return 0;
}

static int give_to(struct digester *digester, uint32_t index, const char *place, const char *name,
                   const struct statx *status) {
  const struct stamp stamp = {(int64_t)status->stx_size, status->stx_mtime.tv_sec, status->stx_mtime.tv_nsec,
                              status->stx_ctime.tv_sec, status->stx_ctime.tv_nsec};
  return digester_add(digester, index, place, name, &stamp, status->stx_size <= MAX_CONTENT);
}

static int scan_open(struct listing *out, int fd, const char *place, unsigned flags, uint64_t inode, uint32_t device,
                     struct digester *digester, uint32_t index, struct entries *entries) {
  struct statx status;
  char path[PATH_MAX];
  if (flags & ROOT) {
    if (add_entry(out, fd, "", NULL, flags, &status) < 0) return failure(out, errno, "");
  } else {
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) < 0) return failure(out, errno, "");
    if (status.stx_ino != inode || device_number(status.stx_dev_major, status.stx_dev_minor) != device)
      return failure(out, REPLACED, "");
  }
  if (read_entries(entries, fd, flags) < 0) return failure(out, errno, "");
  size_t length = strlen(place);
  memcpy(path, place, length);
  if (length > 0 && path[length - 1] != '/') path[length++] = '/';
  for (size_t i = 0; i < entries->count; i++) {
    const char *name = entries->sorted[i]->d_name;
    memcpy(path + length, name, strlen(name) + 1);
    if (add_entry(out, fd, name, path, flags, &status) < 0) return failure(out, errno, name);
    if (S_ISREG(status.stx_mode) && status.stx_size > 0 && give_to(digester, index++, place, name, &status) < 0)
      return failure(out, ENOMEM, name);
  }
  return 0;
}

int scan_directory(struct listing *out, const char *place, unsigned flags, uint64_t inode, uint32_t device,
                   struct digester *digester, uint32_t index) {
  struct entries entries = {NULL, 0, NULL};
  if (strlen(place) + 1 + NAME_MAX >= PATH_MAX) return failure(out, ENAMETOOLONG, "");
  const int fd = open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return failure(out, errno, "");
  const int result = scan_open(out, fd, place, flags, inode, device, digester, index, &entries);
  free(entries.sorted);
  free(entries.memory);
  close(fd);
  return result;
}

void listing_free(struct listing *listing) {
  free(listing->numbers);
  free(listing->text);
}
