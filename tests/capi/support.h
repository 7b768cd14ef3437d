/* What the C tests share. C99 and POSIX only, as a C program would use the library. */
#ifndef VSEARCH_TESTS_CAPI_SUPPORT_H
#define VSEARCH_TESTS_CAPI_SUPPORT_H

#include <stddef.h>
#include <stdint.h>
#include <vsearch_c.h>

/* Counts and prints a condition that does not hold; the test goes on. */
#define CHECK(condition) check_that((condition) != 0, #condition, __FILE__, __LINE__)
void check_that(int holds, const char* condition, const char* file, int line);

/* CHECK for floats that should be about equal. */
#define CHECK_NEAR(actual, expected, tolerance) \
  CHECK((actual) > (expected) - (tolerance) && (actual) < (expected) + (tolerance))

/* A call that must succeed; prints the error's message if it does not. */
#define CHECK_OK(call) check_ok((call), #call, __FILE__, __LINE__)
void check_ok(vsearch_status status, const char* call, const char* file, int line);

/* A call that must fail with `status`, and a message that holds `text`. */
#define CHECK_FAILS(call, status, text) \
  check_fails((call), (status), (text), #call, __FILE__, __LINE__)
void check_fails(vsearch_status actual, vsearch_status expected, const char* text, const char* call,
                 const char* file, int line);

/* Every call under CHECK_OK and CHECK_FAILS is given this. */
extern vsearch_error error;

/* The exit status of main(): 0 if every CHECK held. */
int test_result(void);

/* DIR/name in a folder that is removed at exit; the string stays valid until then. */
const char* temp_path(const char* name);

void write_file(const char* path, const void* bytes, size_t length);
/* The whole file; free() it. */
void* read_file(const char* path, size_t* length);

/* Four pictures that no encoder takes for each other, 96 x 96 RGB without gaps. */
enum { PICTURE_SIDE_PX = 96, PICTURE_COUNT = 4 };
const char* picture_name(int which); /* "stripes", ... */
void fill_picture(int which, uint8_t* rgb);
void write_bmp(int which, const char* path);

/* Makes the file DIR/`name` that tests with stand-ins load as an encoder: "grid.vsm.pt", or of
 * another model "other.vsm.pt". Its embeddings have STAND_IN_DIM floats, the other's half of that.
 */
enum { STAND_IN_DIM = 48 };
const char* stand_in(const char* name);

/* A catalogue in the new directory DIR/`name`, made with `options`, of the encoder "grid.vsm.pt" if
 * they name none. `options` may be NULL. */
vsearch_catalog* make_catalog(const char* name, const vsearch_catalog_options* options);

/* Adds an item with one picture, the file at `path`. */
void add_file(vsearch_catalog* catalog, const char* key, const char* path);

/* A vsearch_progress that counts its calls in the int that `user` points to, and one that asks to
 * stop at once. */
int count_progress(void* user, uint64_t done, uint64_t total);
int stop_progress(void* user, uint64_t done, uint64_t total);

/* Whether the default encoder is installed; prints "SKIPPED: why" if not. */
int have_default_encoder(void);

#endif
