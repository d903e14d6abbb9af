/*
 * Asks GLib what it makes of texts and bytes, many at a time: the other side of the comparison in the GVariant tests.
 * Declares what it uses of GLib itself, so that the library alone is enough to link against.
 *
 * Standard input: requests, each 'P' text or 'D' type data, every part behind its length (32 bits, little-endian).
 * Standard output: for each request 'E' message, or 'V' type bytes printed printed-with-types.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct GVariant GVariant;
typedef struct { uint32_t domain; int code; char *message; } GError;
extern GVariant *g_variant_parse (const char *type, const char *text, const char *limit, const char **end, GError **error);
extern GVariant *g_variant_new_from_data (const char *type, const void *data, size_t size, int trusted, void *notify, void *user);
extern GVariant *g_variant_ref_sink (GVariant *value);
extern int g_variant_is_normal_form (GVariant *value);
extern char *g_variant_print (GVariant *value, int annotate);
extern const char *g_variant_get_type_string (GVariant *value);
extern size_t g_variant_get_size (GVariant *value);
extern void g_variant_store (GVariant *value, void *data);
extern void g_variant_unref (GVariant *value);
extern int g_variant_type_string_is_valid (const char *text);
extern void g_free (void *memory);

static char *
read_part (size_t *length)
{
  uint32_t size;
  if (fread (&size, 4, 1, stdin) != 1)
    exit (0);
  char *part = malloc ((size_t) size + 1);
  if (fread (part, 1, size, stdin) != size)
    exit (2);
  part[size] = 0;
  *length = size;
  return part;
}

static void
write_part (const void *data, size_t length)
{
  uint32_t size = length;
  fwrite (&size, 4, 1, stdout);
  fwrite (data, 1, length, stdout);
}

static void
answer (GVariant *value, const char *message)
{
  if (value == NULL)
    {
      putchar ('E');
      write_part (message, strlen (message));
      return;
    }
  putchar ('V');
  const char *type = g_variant_get_type_string (value);
  write_part (type, strlen (type));
  size_t size = g_variant_get_size (value);
  char *data = malloc (size + 1);
  g_variant_store (value, data);
  write_part (data, size);
  free (data);
  for (int annotate = 0; annotate < 2; annotate++)
    {
      char *text = g_variant_print (value, annotate);
      write_part (text, strlen (text));
      g_free (text);
    }
}

int
main (void)
{
  int request;
  while ((request = getchar ()) != EOF)
    {
      size_t length, size;
      char *first = read_part (&length);
      if (request == 'P')
        {
          GError *error = NULL;
          GVariant *value = g_variant_parse (NULL, first, NULL, NULL, &error);
          answer (value, error ? error->message : "no value and no error");
        }
      else
        {
          char *data = read_part (&size);
          void *aligned = aligned_alloc (16, (size + 16) & ~(size_t) 15);
          memcpy (aligned, data, size);
          GVariant *value = g_variant_ref_sink (g_variant_new_from_data (first, aligned, size, 0, free, aligned));
          answer (g_variant_is_normal_form (value) ? value : NULL, "not normal form");
          g_variant_unref (value);
          free (data);
        }
      free (first);
      fflush (stdout);
    }
  return 0;
}
