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

/* Whether the default encoder is installed; prints "SKIPPED: why" if not. */
int have_default_encoder(void);

#endif
