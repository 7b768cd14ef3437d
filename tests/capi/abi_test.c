/* What a binary built against vsearch_c.h relies on, and what every entry does with bad pointers
 * and struct sizes. Needs no encoder and no catalogue. */
#include <stdio.h>
#include <string.h>

#include "support.h"

/* The offsets of the first release. A field may be appended behind the last one's end, rounded up
 * to the struct's alignment; nothing here may ever change. */
static void test_layout(void) {
  if (sizeof(void*) != 8) return; /* the numbers are those of 64-bit systems */
  CHECK(sizeof(vsearch_error) == 1024);
  CHECK(offsetof(vsearch_error, message) == 4);

  CHECK(sizeof(vsearch_image) == 32);
  CHECK(offsetof(vsearch_image, width_px) == 8);
  CHECK(offsetof(vsearch_image, height_px) == 12);
  CHECK(offsetof(vsearch_image, stride_bytes) == 16);
  CHECK(offsetof(vsearch_image, format) == 24);

  CHECK(offsetof(vsearch_encoder_options, use_cuda) == 8);
  CHECK(offsetof(vsearch_encoder_options, device_index) == 12);
  CHECK(offsetof(vsearch_encoder_options, batch_size) == 16);
  CHECK(offsetof(vsearch_encoder_options, skip_verify) == 20);
  CHECK(offsetof(vsearch_encoder_options, precision) == 24);

  CHECK(offsetof(vsearch_encode_options, progress) == 8);
  CHECK(offsetof(vsearch_encode_options, progress_user) == 16);
  CHECK(offsetof(vsearch_encode_options, exact) == 24);
  CHECK(offsetof(vsearch_encode_options, lenient) == 28);
  CHECK(offsetof(vsearch_encode_options, max_bytes) == 32);
  CHECK(offsetof(vsearch_encode_options, max_pixels) == 40);
  CHECK(offsetof(vsearch_encode_options, max_scans) == 48);
  CHECK(offsetof(vsearch_encode_options, max_time_ms) == 52);

  CHECK(offsetof(vsearch_encode_failure, path) == 8);
  CHECK(offsetof(vsearch_encode_failure, status) == 16);
  CHECK(offsetof(vsearch_encode_failure, message) == 24);

  CHECK(offsetof(vsearch_catalog_options, encoder) == 8);
  CHECK(offsetof(vsearch_catalog_options, log) == 16);
  CHECK(offsetof(vsearch_catalog_options, log_user) == 24);
  CHECK(offsetof(vsearch_catalog_options, progress) == 32);
  CHECK(offsetof(vsearch_catalog_options, progress_user) == 40);
  CHECK(offsetof(vsearch_catalog_options, encoder_options) == 48);

  CHECK(offsetof(vsearch_catalog_info, items) == 8);
  CHECK(offsetof(vsearch_catalog_info, pictures) == 16);
  CHECK(offsetof(vsearch_catalog_info, generation) == 24);
  CHECK(offsetof(vsearch_catalog_info, disk_bytes) == 32);
  CHECK(offsetof(vsearch_catalog_info, index_memory_bytes) == 40);
  CHECK(offsetof(vsearch_catalog_info, dim) == 48);
  CHECK(offsetof(vsearch_catalog_info, metric) == 52);
  CHECK(offsetof(vsearch_catalog_info, encoder_name) == 56);
  CHECK(offsetof(vsearch_catalog_info, encoder_fingerprint) == 184);

  CHECK(offsetof(vsearch_picture, path) == 8);
  CHECK(offsetof(vsearch_picture, bytes) == 16);
  CHECK(offsetof(vsearch_picture, bytes_length) == 24);
  CHECK(offsetof(vsearch_picture, embedding) == 32);
  CHECK(offsetof(vsearch_picture, embedding_dim) == 40);

  CHECK(offsetof(vsearch_item, key) == 8);
  CHECK(offsetof(vsearch_item, pictures) == 16);
  CHECK(offsetof(vsearch_item, picture_count) == 24);
  CHECK(offsetof(vsearch_item, metadata) == 32);

  CHECK(offsetof(vsearch_add_options, progress) == 8);
  CHECK(offsetof(vsearch_add_options, progress_user) == 16);

  CHECK(offsetof(vsearch_add_failure, path) == 8);
  CHECK(offsetof(vsearch_add_failure, status) == 16);
  CHECK(offsetof(vsearch_add_failure, message) == 24);

  CHECK(offsetof(vsearch_query, like) == 8);
  CHECK(offsetof(vsearch_query, image_path) == 16);
  CHECK(offsetof(vsearch_query, image_bytes) == 24);
  CHECK(offsetof(vsearch_query, image_bytes_length) == 32);
  CHECK(offsetof(vsearch_query, pixels) == 40);
  CHECK(offsetof(vsearch_query, embedding) == 72);
  CHECK(offsetof(vsearch_query, embedding_dim) == 80);

  CHECK(offsetof(vsearch_search_options, k) == 8);
  CHECK(offsetof(vsearch_search_options, breadth) == 12);
  CHECK(offsetof(vsearch_search_options, where) == 16);
  CHECK(offsetof(vsearch_search_options, exact) == 24);

  CHECK(offsetof(vsearch_hit, score) == 8);
  CHECK(offsetof(vsearch_hit, distance) == 12);
  CHECK(offsetof(vsearch_hit, path) == 16);
  CHECK(offsetof(vsearch_hit, metadata) == 24);
}

/* Numbers that a caller may have compiled in. */
static void test_numbers(void) {
  CHECK(VSEARCH_PIXEL_RGB == 0 && VSEARCH_PIXEL_BGR == 1 && VSEARCH_PIXEL_GREY == 2);
  CHECK(VSEARCH_PIXEL_RGBA == 3 && VSEARCH_PIXEL_BGRA == 4);
  CHECK(VSEARCH_PRECISION_AUTO == 0 && VSEARCH_PRECISION_FP32 == 1 && VSEARCH_PRECISION_BF16 == 2);
  CHECK(VSEARCH_PRECISION_FP16 == 3 && VSEARCH_PRECISION_INT8 == 4);
}

static void test_names(void) {
  CHECK(strcmp(vsearch_version(), EXPECTED_VERSION) == 0);
  CHECK(strcmp(vsearch_status_name(VSEARCH_OK), "ok") == 0);
  CHECK(strcmp(vsearch_status_name(VSEARCH_BAD_IMAGE), "bad image") == 0);
  CHECK(strcmp(vsearch_status_name(-1), "unknown status") == 0);
  CHECK(strcmp(vsearch_status_name(VSEARCH_INTERNAL + 1), "unknown status") == 0);
  for (vsearch_status status = VSEARCH_OK; status <= VSEARCH_INTERNAL; ++status) {
    CHECK(strcmp(vsearch_status_name(status), "unknown status") != 0);
    for (vsearch_status other = VSEARCH_OK; other < status; ++other) {
      CHECK(strcmp(vsearch_status_name(status), vsearch_status_name(other)) != 0);
    }
  }
}

static void test_null_handles(void) {
  vsearch_encoder_free(NULL);
  vsearch_catalog_free(NULL);
  vsearch_add_report_free(NULL);
  vsearch_encode_report_free(NULL);
  vsearch_hits_free(NULL);
  CHECK(vsearch_encoder_dim(NULL) == 0);
  CHECK(strcmp(vsearch_encoder_name(NULL), "") == 0);
  CHECK(strcmp(vsearch_encoder_fingerprint(NULL), "") == 0);
  CHECK(vsearch_encoder_precision(NULL) == VSEARCH_PRECISION_AUTO);
  CHECK(vsearch_encoder_has_text(NULL) == 0);
  CHECK(vsearch_encode_report_failure_count(NULL) == 0);
  CHECK(vsearch_encode_report_failure(NULL, 0) == NULL);
  CHECK(vsearch_add_report_added(NULL) == 0);
  CHECK(vsearch_add_report_replaced(NULL) == 0);
  CHECK(vsearch_add_report_failure_count(NULL) == 0);
  CHECK(vsearch_add_report_failure(NULL, 0) == NULL);
  CHECK(vsearch_hits_count(NULL) == 0);
  CHECK(vsearch_hits_at(NULL, 0) == NULL);
}

static void test_null_arguments(void) {
  vsearch_catalog* catalog = (vsearch_catalog*)&error; /* anything that is not NULL */
  vsearch_hits* hits = (vsearch_hits*)&error;
  vsearch_add_report* report = (vsearch_add_report*)&error;
  vsearch_catalog_info info = {.struct_size = sizeof info};
  int32_t present = 1;
  uint64_t removed = 1;
  float embedding[1];

  CHECK_FAILS(vsearch_encoder_load("x", NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "out is NULL");
  CHECK_FAILS(vsearch_encoder_encode(NULL, NULL, 0, embedding, 1, &error), VSEARCH_INVALID_ARGUMENT,
              "encoder is NULL");
  CHECK_FAILS(vsearch_encoder_encode_text(NULL, NULL, 0, embedding, 1, &error),
              VSEARCH_INVALID_ARGUMENT, "encoder is NULL");
  vsearch_encode_report* encoded = (vsearch_encode_report*)&error;
  CHECK_FAILS(vsearch_encoder_encode_files(NULL, NULL, 0, NULL, embedding, 1, &encoded, &error),
              VSEARCH_INVALID_ARGUMENT, "encoder is NULL");
  CHECK(encoded == NULL);
  CHECK_FAILS(vsearch_catalog_open("x", NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "out is NULL");
  CHECK_FAILS(vsearch_catalog_create(NULL, NULL, &catalog, &error), VSEARCH_INVALID_ARGUMENT,
              "path is NULL");
  CHECK(catalog == NULL);
  CHECK_FAILS(vsearch_catalog_open(NULL, NULL, &catalog, &error), VSEARCH_INVALID_ARGUMENT,
              "path is NULL");
  CHECK_FAILS(vsearch_catalog_get_info(NULL, &info, &error), VSEARCH_INVALID_ARGUMENT,
              "catalog is NULL");
  CHECK_FAILS(vsearch_catalog_add(NULL, NULL, 0, NULL, &report, &error), VSEARCH_INVALID_ARGUMENT,
              "catalog is NULL");
  CHECK(report == NULL);
  CHECK_FAILS(vsearch_catalog_remove(NULL, NULL, 0, &removed, &error), VSEARCH_INVALID_ARGUMENT,
              "catalog is NULL");
  CHECK(removed == 0);
  CHECK_FAILS(vsearch_catalog_contains(NULL, "x", &present, &error), VSEARCH_INVALID_ARGUMENT,
              "catalog is NULL");
  CHECK(present == 0);
  CHECK_FAILS(vsearch_catalog_search(NULL, NULL, NULL, &hits, &error), VSEARCH_INVALID_ARGUMENT,
              "catalog is NULL");
  CHECK(hits == NULL);
  CHECK(vsearch_catalog_open(NULL, NULL, &catalog, NULL) == VSEARCH_INVALID_ARGUMENT);
}

/* A caller built against a header with more, or fewer, options than the library knows. */
static void test_struct_sizes(void) {
  struct {
    vsearch_encoder_options known;
    uint64_t later;
  } newer = {{.struct_size = sizeof newer}, 0};
  vsearch_encoder_options options = {.struct_size = 0};
  vsearch_encoder* encoder = (vsearch_encoder*)&error;

  CHECK_FAILS(vsearch_encoder_load("no-such-model", &options, &encoder, &error),
              VSEARCH_INVALID_ARGUMENT, "options.struct_size is 0: set it to sizeof");
  CHECK(encoder == NULL);
  options.struct_size = sizeof options.struct_size - 1;
  CHECK_FAILS(vsearch_encoder_load("no-such-model", &options, &encoder, &error),
              VSEARCH_INVALID_ARGUMENT, "options.struct_size is 7");
  options.struct_size = (size_t)-1; /* as from memory that nobody initialised */
  CHECK_FAILS(vsearch_encoder_load("no-such-model", &options, &encoder, &error),
              VSEARCH_INVALID_ARGUMENT, "options.struct_size is ");

  /* Accepted: the call goes on to look for the model. */
  options.struct_size = offsetof(vsearch_encoder_options, batch_size);
  CHECK_FAILS(vsearch_encoder_load("no-such-model", &options, &encoder, &error),
              VSEARCH_FILE_NOT_FOUND, "no-such-model");
  CHECK_FAILS(vsearch_encoder_load("no-such-model", &newer.known, &encoder, &error),
              VSEARCH_FILE_NOT_FOUND, "no-such-model");

  newer.later = 1;
  CHECK_FAILS(vsearch_encoder_load("no-such-model", &newer.known, &encoder, &error),
              VSEARCH_INVALID_ARGUMENT, "options sets a field that libvsearch");
}

static void test_precision(void) {
  vsearch_encoder_options options = {.struct_size = sizeof options, .precision = 5};
  vsearch_encoder* encoder = (vsearch_encoder*)&error;
  CHECK_FAILS(vsearch_encoder_load("no-such-model", &options, &encoder, &error),
              VSEARCH_INVALID_ARGUMENT, "options.precision is 5: set it to one of");
  CHECK(encoder == NULL);
  options.precision = -1;
  const vsearch_catalog_options catalog_options = {.struct_size = sizeof catalog_options,
                                                   .encoder_options = &options};
  vsearch_catalog* catalog = (vsearch_catalog*)&error;
  CHECK_FAILS(vsearch_catalog_create("no-such-shop", &catalog_options, &catalog, &error),
              VSEARCH_INVALID_ARGUMENT, "options.encoder_options.precision is -1");
  CHECK(catalog == NULL);
}

static void test_missing_catalog(void) {
  vsearch_catalog* catalog = (vsearch_catalog*)&error;
  CHECK_FAILS(vsearch_catalog_open("no-such-shop.vsearch", NULL, &catalog, &error),
              VSEARCH_FILE_NOT_FOUND, "no-such-shop.vsearch");
  CHECK(catalog == NULL);
}

/* A message longer than its buffer ends before a character that would be cut in two. */
static void test_long_message(void) {
  for (int shift = 0; shift < 2; ++shift) {
    char path[1700] = "";
    strcat(path, shift == 0 ? "/x" : "/xx");
    for (int i = 0; i < 800; ++i) strcat(path, i % 100 == 99 ? "/" : "\xC3\xA9"); /* e acute */
    vsearch_catalog* catalog = NULL;
    CHECK_FAILS(vsearch_catalog_open(path, NULL, &catalog, &error), VSEARCH_FILE_NOT_FOUND,
                shift == 0 ? "/x\xC3\xA9" : "/xx\xC3\xA9");
    const size_t length = strlen(error.message);
    CHECK(length == sizeof error.message - 1 || length == sizeof error.message - 2);
    const int last = (unsigned char)error.message[length - 1];
    CHECK(last == 0xA9 || last < 0x80); /* not the 0xC3 that begins the character */
  }
}

int main(void) {
  test_layout();
  test_numbers();
  test_names();
  test_null_handles();
  test_null_arguments();
  test_struct_sizes();
  test_precision();
  test_missing_catalog();
  test_long_message();
  return test_result();
}
