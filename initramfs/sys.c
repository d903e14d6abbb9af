/*
 * The program that runs at boot, below its TypeScript: a JavaScript context, the system calls that JavaScript lacks,
 * and the exit status. There is no decision in this file but the last one, in main: the status is 0 only if the
 * compiled program handed over its token and then returned with nothing left to do.
 *
 * Every call is a row of a table and has the kernel's arguments. Memory is passed as ArrayBuffer objects alone, and
 * the length that the kernel is told is the length of the buffer. What a call returns, or the negative error number,
 * is the result; an argument of another kind is an exception.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fsverity.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <quickjs.h>

/* Older C libraries do not know these; they are the same on every architecture. */
#ifndef SYS_move_mount
#define SYS_move_mount 429
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif

/* What qjsc made of the program. */
extern const uint8_t program[];
extern const uint32_t program_size;

#define MEMORY_LIMIT (256 * 1024 * 1024)
#define STACK_LIMIT (1024 * 1024)
#define MAX_WORDS 64
#define TOKEN 0x5ea17ee5

/*
 * Arguments, a letter each:
 *   i  a number
 *   s  a string that ends in NUL, or null
 *   b  a buffer; its length is the kernel's next argument
 *   p  a buffer of at least SIZE bytes, or null
 *   v  an array of strings
 *   r  none: the kernel gets REQUEST
 */
struct call {
  const char *name;
  long number;
  const char *arguments;
  size_t size;
  unsigned long request;
};

static const struct call calls[] = {
  /* files */
  { "openat", SYS_openat, "isii" },
  { "close", SYS_close, "i" },
  { "read", SYS_read, "ib" },
  { "pread", SYS_pread64, "ibi" },
  { "write", SYS_write, "ib" },
  { "fchmod", SYS_fchmod, "ii" },
  { "getdents", SYS_getdents64, "ib" },
  { "readlinkat", SYS_readlinkat, "isb" },
  { "statx", SYS_statx, "isiip", sizeof (struct statx) },
  { "fstatfs", SYS_fstatfs, "ip", sizeof (struct statfs) },
  { "mkdirat", SYS_mkdirat, "isi" },
  { "unlinkat", SYS_unlinkat, "isi" },
  { "symlinkat", SYS_symlinkat, "sis" },
  { "renameat2", SYS_renameat2, "isisi" },
  { "dup3", SYS_dup3, "iii" },
  { "chdir", SYS_chdir, "s" },
  { "chroot", SYS_chroot, "s" },
  { "measureVerity", SYS_ioctl, "irp", sizeof (struct fsverity_digest) + 64, FS_IOC_MEASURE_VERITY },
  { "btrfsInfo", SYS_ioctl, "irp", sizeof (struct btrfs_ioctl_fs_info_args), BTRFS_IOC_FS_INFO },
  { "btrfsDevice", SYS_ioctl, "irp", sizeof (struct btrfs_ioctl_dev_info_args), BTRFS_IOC_DEV_INFO },
  /* mounts */
  { "mount", SYS_mount, "sssis" },
  { "umount2", SYS_umount2, "si" },
  { "fsopen", SYS_fsopen, "si" },
  { "fsconfig", SYS_fsconfig, "iissi" },
  { "fsmount", SYS_fsmount, "iii" },
  { "moveMount", SYS_move_mount, "isisi" },
  { "loopGetFree", SYS_ioctl, "ir", 0, LOOP_CTL_GET_FREE },
  { "loopConfigure", SYS_ioctl, "irp", sizeof (struct loop_config), LOOP_CONFIGURE },
  /* the machine */
  { "getpid", SYS_getpid, "" },
  { "getrandom", SYS_getrandom, "bi" },
  { "nanosleep", SYS_nanosleep, "pp", sizeof (struct timespec) },
  { "socket", SYS_socket, "iii" },
  { "sendto", SYS_sendto, "ibib" },
  { "sync", SYS_sync, "" },
  { "reboot", SYS_reboot, "iiis" },
  { "finitModule", SYS_finit_module, "isi" },
  { "execve", SYS_execve, "svv" },
};

static uint32_t token;

/* The start of a buffer; its length, of which at least LEAST bytes are demanded, goes to SIZE. */
static uint8_t *
buffer_of (JSContext *ctx, JSValueConst value, size_t least, size_t *size)
{
  uint8_t *start = JS_GetArrayBuffer (ctx, size, value);
  if (start == NULL || *size >= least)
    return start;
  JS_ThrowRangeError (ctx, "buffer of %zu bytes, %zu are needed", *size, least);
  return NULL;
}

static uint8_t *
string_of (JSContext *ctx, JSValueConst value)
{
  size_t size;
  uint8_t *start = buffer_of (ctx, value, 1, &size);
  if (start == NULL || memchr (start, '\0', size) != NULL)
    return start;
  JS_ThrowRangeError (ctx, "string without an end");
  return NULL;
}

/* Fills WORDS; returns false with an exception. The caller's array keeps the buffers alive. */
static int
words_of (JSContext *ctx, JSValueConst value, uint8_t *words[MAX_WORDS + 1])
{
  for (uint32_t i = 0; i <= MAX_WORDS; i++)
    {
      JSValue word = JS_GetPropertyUint32 (ctx, value, i);
      words[i] = NULL;
      if (JS_IsException (word))
        return 0;
      if (JS_IsUndefined (word))
        return 1;
      words[i] = string_of (ctx, word);
      JS_FreeValue (ctx, word);
      if (words[i] == NULL)
        return 0;
    }
  JS_ThrowRangeError (ctx, "more than %d words", MAX_WORDS);
  return 0;
}

static JSValue
perform (JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv, int row)
{
  const struct call *call = &calls[row];
  uint8_t *words[2][MAX_WORDS + 1];
  long raw[8] = { 0 };
  int given = 0, count = 0, lists = 0;

  for (const char *kind = call->arguments; *kind != '\0'; kind++)
    {
      if (*kind == 'r')
        {
          raw[count++] = (long)call->request;
          continue;
        }
      if (given >= argc)
        return JS_ThrowTypeError (ctx, "%s: too few arguments", call->name);
      JSValueConst value = argv[given++];
      int64_t number;
      size_t size;
      switch (*kind)
        {
        case 'i':
          if (JS_ToInt64Ext (ctx, &number, value) < 0)
            return JS_EXCEPTION;
          raw[count++] = (long)number;
          break;
        case 'v':
          if (!words_of (ctx, value, words[lists]))
            return JS_EXCEPTION;
          raw[count++] = (long)words[lists++];
          break;
        case 'b':
          if ((raw[count++] = (long)buffer_of (ctx, value, 0, &size)) == 0)
            return JS_EXCEPTION;
          raw[count++] = (long)size;
          break;
        default:
          if (JS_IsNull (value))
            raw[count++] = 0;
          else if ((raw[count++] = (long)(*kind == 's' ? string_of (ctx, value)
                                                       : buffer_of (ctx, value, call->size, &size)))
                   == 0)
            return JS_EXCEPTION;
        }
    }
  if (given != argc)
    return JS_ThrowTypeError (ctx, "%s: too many arguments", call->name);
  long result = syscall (call->number, raw[0], raw[1], raw[2], raw[3], raw[4], raw[5]);
  return JS_NewInt64 (ctx, result < 0 ? -errno : result);
}

/* succeed(token): what the program says when it has seen that all is as it should be. */
static JSValue
succeed (JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
  return argc == 1 && JS_ToUint32 (ctx, &token, argv[0]) < 0 ? JS_EXCEPTION : JS_UNDEFINED;
}

/* The global objects `sys`, a function for each row and `succeed`, and `words`, the command line as buffers. */
static void
add_globals (JSContext *ctx, int argc, char **argv)
{
  JSValue global = JS_GetGlobalObject (ctx);
  JSValue sys = JS_NewObject (ctx);
  JSValue words = JS_NewArray (ctx);
  for (size_t i = 0; i < sizeof (calls) / sizeof (calls[0]); i++)
    JS_SetPropertyStr (ctx, sys, calls[i].name,
                       JS_NewCFunctionMagic (ctx, perform, calls[i].name, 0, JS_CFUNC_generic_magic, (int)i));
  JS_SetPropertyStr (ctx, sys, "succeed", JS_NewCFunction (ctx, succeed, "succeed", 1));
  for (int i = 0; i < argc; i++)
    JS_SetPropertyUint32 (ctx, words, (uint32_t)i,
                          JS_NewArrayBufferCopy (ctx, (uint8_t *)argv[i], strlen (argv[i])));
  JS_SetPropertyStr (ctx, global, "sys", sys);
  JS_SetPropertyStr (ctx, global, "words", words);
  JS_FreeValue (ctx, global);
}

/* The message of an exception, or what else was thrown. */
static void
complain (JSContext *ctx)
{
  JSValue thrown = JS_GetException (ctx);
  JSValue message = JS_IsObject (thrown) ? JS_GetPropertyStr (ctx, thrown, "message") : JS_UNDEFINED;
  const char *text = JS_ToCString (ctx, JS_IsString (message) ? message : thrown);
  fprintf (stderr, "ostree-prepare-root: %s\n", text != NULL ? text : "out of memory");
}

int
main (int argc, char **argv)
{
  JSRuntime *runtime = JS_NewRuntime ();
  JSContext *ctx = runtime == NULL ? NULL : JS_NewContextRaw (runtime);
  if (ctx == NULL)
    {
      fputs ("ostree-prepare-root: out of memory\n", stderr);
      return 1;
    }
  JS_SetMemoryLimit (runtime, MEMORY_LIMIT);
  JS_SetMaxStackSize (runtime, STACK_LIMIT);
  /* No eval, no promises, no timers, no files of its own: what is not here cannot go wrong unseen. */
  JS_AddIntrinsicBaseObjects (ctx);
  JS_AddIntrinsicDate (ctx);
  JS_AddIntrinsicRegExpCompiler (ctx);
  JS_AddIntrinsicRegExp (ctx);
  JS_AddIntrinsicJSON (ctx);
  JS_AddIntrinsicMapSet (ctx);
  JS_AddIntrinsicTypedArrays (ctx);
  add_globals (ctx, argc, argv);

  JSValue result = JS_ReadObject (ctx, program, program_size, JS_READ_OBJ_BYTECODE);
  if (!JS_IsException (result))
    result = JS_EvalFunction (ctx, result);
  if (JS_IsException (result))
    complain (ctx);
  else if (JS_IsJobPending (runtime))
    fputs ("ostree-prepare-root: ended with work left to do\n", stderr);
  else if (token != TOKEN)
    fputs ("ostree-prepare-root: ended without having verified anything\n", stderr);
  else
    return 0;
  return 1;
}
