/*
 * What is used here of Node-API, whose binary interface never changes: https://nodejs.org/api/n-api.html. Declared here,
 * since not every system that has Node has its headers.
 */
#ifndef SEALTREE_NODE_API_H
#define SEALTREE_NODE_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef int napi_status; /* 0 for success */
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);
typedef void (*napi_finalize)(napi_env env, void *data, void *hint);

/* What Node asks an addon for. */
__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports);

napi_status napi_create_function(napi_env, const char *name, size_t length, napi_callback, void *data, napi_value *);
napi_status napi_set_named_property(napi_env, napi_value object, const char *name, napi_value value);
napi_status napi_get_cb_info(napi_env, napi_callback_info, size_t *argc, napi_value *argv, napi_value *self, void **data);
napi_status napi_get_value_double(napi_env, napi_value, double *);
napi_status napi_get_value_string_latin1(napi_env, napi_value, char *, size_t room, size_t *length);
napi_status napi_get_buffer_info(napi_env, napi_value, void **data, size_t *length);
napi_status napi_get_value_external(napi_env, napi_value, void **);
napi_status napi_create_external(napi_env, void *, napi_finalize, void *hint, napi_value *);
napi_status napi_create_double(napi_env, double, napi_value *);
napi_status napi_create_string_latin1(napi_env, const char *, size_t length, napi_value *);
napi_status napi_create_arraybuffer(napi_env, size_t length, void **data, napi_value *);
napi_status napi_create_array_with_length(napi_env, size_t length, napi_value *);
napi_status napi_set_element(napi_env, napi_value array, uint32_t index, napi_value value);
napi_status napi_throw_error(napi_env, const char *code, const char *message);
napi_status napi_throw_range_error(napi_env, const char *code, const char *message);

#endif
