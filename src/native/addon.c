/* The functions of this folder for JavaScript: src/node/native.ts says what each of them is. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "node-api.h"
#include "scan.h"

enum { MAX_ARGUMENTS = 9 };

/* The arguments of a call as they are taken one after another; what has another type than is asked for fails the call. */
struct call {
  napi_env env;
  napi_value arguments[MAX_ARGUMENTS];
  size_t next;
  bool failed;
};

struct bytes {
  uint8_t *data;
  size_t size;
};

static struct call begin(napi_env env, napi_callback_info info) {
  struct call call = {.env = env};
  size_t count = MAX_ARGUMENTS;
  call.failed = napi_get_cb_info(env, info, &count, call.arguments, NULL, NULL) != 0;
  return call;
}

static double take_number(struct call *call) {
  double number = 0;
  call->failed |= napi_get_value_double(call->env, call->arguments[call->next++], &number) != 0;
  return number;
}

static struct bytes take_bytes(struct call *call) {
  struct bytes bytes = {NULL, 0};
  void *data = NULL;
  call->failed |= napi_get_buffer_info(call->env, call->arguments[call->next++], &data, &bytes.size) != 0;
  bytes.data = data;
  return bytes;
}

/* A path of any length is cut off where it is too long for the kernel anyway. */
static void take_path(struct call *call, char path[PATH_MAX + 2]) {
  size_t length = 0;
  call->failed |=
      napi_get_value_string_latin1(call->env, call->arguments[call->next++], path, PATH_MAX + 2, &length) != 0;
  call->failed |= !call->failed && strlen(path) != length;
}

static struct digester **take_digester(struct call *call) {
  void *holder = NULL;
  call->failed |= napi_get_value_external(call->env, call->arguments[call->next++], &holder) != 0;
  return holder;
}

/* Throws, unless an exception is there already. */
static napi_value fail(napi_env env, const char *message) {
  napi_throw_error(env, NULL, message);
  return NULL;
}

/* As `fail`, where C would write to memory of others. */
static napi_value no_room(napi_env env) {
  napi_throw_range_error(env, NULL, "no room for what is written");
  return NULL;
}

static const char *const MISUSED = "the native part was called with other arguments than it takes";
static const char *const NO_MEMORY = "out of memory";

static napi_value number(napi_env env, double value) {
  napi_value result = NULL;
  napi_create_double(env, value, &result);
  return result;
}

/* [text, ArrayBuffer of `size` bytes], and where these are. */
static napi_value text_and_numbers(napi_env env, const char *text, size_t length, size_t size, void **numbers) {
  napi_value pair, string, buffer;
  if (napi_create_array_with_length(env, 2, &pair) != 0 || napi_create_string_latin1(env, text, length, &string) != 0 ||
      napi_create_arraybuffer(env, size, numbers, &buffer) != 0 || napi_set_element(env, pair, 0, string) != 0 ||
      napi_set_element(env, pair, 1, buffer) != 0)
    return fail(env, NO_MEMORY);
  return pair;
}

/* hashBlocks(data, blockSize, target, at, salt) */
static napi_value hash_blocks_of(napi_env env, napi_callback_info info) {
  struct call call = begin(env, info);
  const struct bytes data = take_bytes(&call);
  const double size = take_number(&call);
  const struct bytes target = take_bytes(&call);
  const double at = take_number(&call);
  const struct bytes salt = take_bytes(&call);
  if (call.failed || !(size >= CHUNK && size <= 1 << 30) || (size_t)size % CHUNK != 0 ||
      data.size % (size_t)size != 0)
    return fail(env, MISUSED);
  const size_t count = data.size / (size_t)size;
  if (!(at >= 0 && at + (double)(count * DIGEST) <= (double)target.size)) return no_room(env);
  struct block_hash hash;
  block_hash_init(&hash, (size_t)size, salt.data, salt.size);
  hash_blocks(&hash, data.data, count, target.data + (size_t)at);
  return NULL;
}

/* ---- the ostree checksum and the fs-verity digest of a file by one reading */

struct content {
  struct stream_hash stream;
  struct verity verity;
  struct tree tree;
  uint64_t size;
  bool wants_verity;
};

static void free_content(napi_env env, void *data, void *hint) {
  struct content *content = data;
  (void)env, (void)hint;
  tree_free(&content->tree);
  free(content);
}

/* contentHash() → a handle */
static napi_value content_hash(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value handle;
  struct content *content = calloc(1, sizeof *content);
  if (content == NULL) return fail(env, NO_MEMORY);
  verity_init(&content->verity, 4096, NULL, 0);
  content->tree.verity = &content->verity;
  stream_init(&content->stream);
  if (napi_create_external(env, content, free_content, NULL, &handle) == 0) return handle;
  free_content(env, content, NULL);
  return fail(env, NO_MEMORY);
}

/* Hashes data whose end, unless it is the last, is that of a block; zeros are put behind it up to that of one. */
static int add_content(struct content *content, uint8_t *data, size_t size) {
  enum { BATCH = 64 };
  const size_t block = content->verity.blocks.size;
  uint8_t digests[BATCH * DIGEST];
  content->size += size;
  if (!content->wants_verity) {
    stream_update(&content->stream, data, size, NULL, 0, NULL);
    return 0;
  }
  memset(data + size, 0, (block - size % block) % block);
  while (size > 0) {
    const size_t now = size < BATCH * block ? size : BATCH * block, count = (now + block - 1) / block;
    stream_update(&content->stream, data, now, &content->verity.blocks, count, digests);
    if (tree_add(&content->tree, digests, count) < 0) return -1;
    data += now;
    size -= now;
  }
  return 0;
}

/* contentBegin(handle, head, wantsVerity) */
static napi_value content_begin(napi_env env, napi_callback_info info) {
  struct call call = begin(env, info);
  void *data = NULL;
  call.failed |= napi_get_value_external(env, call.arguments[call.next++], &data) != 0;
  const struct bytes head = take_bytes(&call);
  const double wants_verity = take_number(&call);
  if (call.failed) return fail(env, MISUSED);
  struct content *content = data;
  stream_init(&content->stream);
  stream_update(&content->stream, head.data, head.size, NULL, 0, NULL);
  tree_begin(&content->tree);
  content->size = 0;
  content->wants_verity = wants_verity != 0;
  return NULL;
}

/* contentAdd(handle, buffer, start, size) */
static napi_value content_add(napi_env env, napi_callback_info info) {
  struct call call = begin(env, info);
  void *data = NULL;
  call.failed |= napi_get_value_external(env, call.arguments[call.next++], &data) != 0;
  const struct bytes buffer = take_bytes(&call);
  const double start = take_number(&call), size = take_number(&call);
  struct content *content = data;
  if (call.failed || !(start >= 0 && size >= 0 && start + size <= (double)buffer.size)) return fail(env, MISUSED);
  const size_t block = content->verity.blocks.size, blocks = ((size_t)size + block - 1) / block;
  if (content->wants_verity && (content->size % block != 0 || (size_t)start + blocks * block > buffer.size))
    return no_room(env);
  if (add_content(content, buffer.data + (size_t)start, (size_t)size) < 0) return fail(env, NO_MEMORY);
  return NULL;
}

/* contentEnd(handle) → 64 digits of the checksum, and 64 of the fs-verity digest if that is wanted */
static napi_value content_end(napi_env env, napi_callback_info info) {
  struct call call = begin(env, info);
  void *data = NULL;
  call.failed |= napi_get_value_external(env, call.arguments[call.next++], &data) != 0;
  if (call.failed) return fail(env, MISUSED);
  struct content *content = data;
  uint8_t digest[DIGEST];
  char text[4 * DIGEST];
  napi_value result;
  stream_final(&content->stream, digest);
  put_hex(text, digest);
  if (content->wants_verity) {
    if (tree_digest(&content->tree, content->size, digest) < 0) return fail(env, NO_MEMORY);
    put_hex(text + 2 * DIGEST, digest);
  }
  if (napi_create_string_latin1(env, text, (content->wants_verity ? 4 : 2) * DIGEST, &result) != 0)
    return fail(env, NO_MEMORY);
  return result;
}

/* ---- many files */

static void free_digester(napi_env env, void *data, void *hint) {
  struct digester **holder = data;
  (void)env, (void)hint;
  if (*holder != NULL) digester_free(*holder);
  free(holder);
}

/* digester(blockSize, salt, threads, follow) → a handle */
static napi_value new_digester(napi_env env, napi_callback_info info) {
  struct call call = begin(env, info);
  struct verity verity;
  napi_value handle;
  const double size = take_number(&call);
  const struct bytes salt = take_bytes(&call);
  const double threads = take_number(&call), follow = take_number(&call);
  const bool sized = size >= MIN_BLOCK && size <= MAX_BLOCK && ((size_t)size & ((size_t)size - 1)) == 0;
  if (call.failed || !sized || salt.size > MAX_SALT || !(threads >= 1 && threads <= 1024)) return fail(env, MISUSED);
  verity_init(&verity, (size_t)size, salt.data, salt.size);
  struct digester **holder = malloc(sizeof *holder);
  if (holder == NULL) return fail(env, NO_MEMORY);
  *holder = digester_new(&verity, (int)threads, follow != 0);
  if (*holder != NULL && napi_create_external(env, holder, free_digester, NULL, &handle) == 0) return handle;
  free_digester(env, holder, NULL);
  return fail(env, NO_MEMORY);
}

/* addFile(handle, index, path, content, size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec) */
static napi_value add_file(napi_env env, napi_callback_info info) {
  struct call call = begin(env, info);
  char path[PATH_MAX + 2];
  struct digester **digester = take_digester(&call);
  const double index = take_number(&call);
  take_path(&call, path);
  const double content = take_number(&call);
  double stamp[5];
  for (int i = 0; i < 5; i++) stamp[i] = take_number(&call);
  const struct stamp packed = {(int64_t)stamp[0], (int64_t)stamp[1], (int64_t)stamp[2], (int64_t)stamp[3], (int64_t)stamp[4]};
  if (call.failed || *digester == NULL || packed.size < 0 || (content != 0 && packed.size > MAX_CONTENT))
    return fail(env, MISUSED);
  if (digester_add(*digester, (uint32_t)index, "", path, &packed, content != 0) < 0) return fail(env, NO_MEMORY);
  return NULL;
}

/* scan(handle, index, place, flags, inoHigh, inoLow, device) → [text, numbers] or [name, error number] */
static napi_value scan(napi_env env, napi_callback_info info) {
  struct call call = begin(env, info);
  char place[PATH_MAX + 2];
  struct digester **digester = take_digester(&call);
  const double index = take_number(&call);
  take_path(&call, place);
  const double flags = take_number(&call), high = take_number(&call), low = take_number(&call);
  const double device = take_number(&call);
  if (call.failed || *digester == NULL) return fail(env, MISUSED);
  struct listing listing = {0};
  const uint64_t inode = (uint64_t)high << 32 | (uint32_t)low;
  napi_value result;
  if (scan_directory(&listing, place, (unsigned)flags, inode, (uint32_t)device, *digester, (uint32_t)index) == 0) {
    void *numbers = NULL;
    const size_t size = listing.count * sizeof *listing.numbers;
    result = text_and_numbers(env, listing.text == NULL ? "" : listing.text, listing.text_size, size, &numbers);
    if (result != NULL && size > 0) memcpy(numbers, listing.numbers, size);
  } else {
    napi_value name;
    const bool made = napi_create_array_with_length(env, 2, &result) == 0 &&
                      napi_create_string_latin1(env, listing.failed, strlen(listing.failed), &name) == 0 &&
                      napi_set_element(env, result, 0, name) == 0 &&
                      napi_set_element(env, result, 1, number(env, listing.error)) == 0;
    if (!made) result = fail(env, NO_MEMORY);
  }
  listing_free(&listing);
  return result;
}

/* help(handle) → 1 if there is more to do, else 0 */
static napi_value help(napi_env env, napi_callback_info info) {
  struct call call = begin(env, info);
  struct digester **digester = take_digester(&call);
  if (call.failed || *digester == NULL) return fail(env, MISUSED);
  return number(env, digester_help(*digester));
}

/* waiting(handle) → bytes */
static napi_value waiting(napi_env env, napi_callback_info info) {
  struct call call = begin(env, info);
  struct digester **digester = take_digester(&call);
  if (call.failed || *digester == NULL) return fail(env, MISUSED);
  return number(env, (double)digester_waiting(*digester));
}

/* settled(handle) → [index, outcome, value and limit of each file, its text, that of the next…], undefined without any */
static napi_value settled(napi_env env, napi_callback_info info) {
  enum { FIELDS = 4 };
  struct call call = begin(env, info);
  struct digester **digester = take_digester(&call);
  if (call.failed || *digester == NULL) return fail(env, MISUSED);
  struct file *first = digester_settled(*digester);
  uint32_t count = 0;
  if (first == NULL) return NULL;
  for (struct file *file = first; file != NULL; file = file->next) count++;
  napi_value result, buffer, text;
  void *numbers = NULL;
  bool made = napi_create_array_with_length(env, count + 1, &result) == 0 &&
              napi_create_arraybuffer(env, count * FIELDS * sizeof(double), &numbers, &buffer) == 0 &&
              napi_set_element(env, result, 0, buffer) == 0;
  double *field = numbers;
  for (uint32_t i = 1; first != NULL; i++) {
    struct file *file = first;
    first = file->next;
    made = made && napi_create_string_latin1(env, file->text, file->text_size, &text) == 0 &&
           napi_set_element(env, result, i, text) == 0;
    if (made) {
      const double fields[FIELDS] = {file->index, file->result.outcome, (double)file->result.value,
                                     (double)file->result.limit};
      memcpy(field, fields, sizeof fields);
      field += FIELDS;
    }
    free(file);
  }
  return made ? result : fail(env, NO_MEMORY);
}

/* close(handle) */
static napi_value close_digester(napi_env env, napi_callback_info info) {
  struct call call = begin(env, info);
  struct digester **digester = take_digester(&call);
  if (call.failed) return fail(env, MISUSED);
  if (*digester != NULL) digester_free(*digester);
  *digester = NULL;
  return NULL;
}

/* Nothing is exported to a processor without instructions for SHA-256. */
napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  static const struct {
    const char *name;
    napi_callback function;
  } functions[] = {
      {"hashBlocks", hash_blocks_of}, {"contentHash", content_hash}, {"contentBegin", content_begin},
      {"contentAdd", content_add},    {"contentEnd", content_end},   {"digester", new_digester},
      {"addFile", add_file},          {"scan", scan},                {"help", help},
      {"waiting", waiting},           {"settled", settled},          {"close", close_digester},
  };
  if (!sha256_available()) return exports;
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    napi_value function;
    const char *name = functions[i].name;
    if (napi_create_function(env, name, strlen(name), functions[i].function, NULL, &function) != 0 ||
        napi_set_named_property(env, exports, name, function) != 0)
      return fail(env, NO_MEMORY);
  }
  return exports;
}
