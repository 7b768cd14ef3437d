/* Bad input through the C interface, with the default encoder: each has its status, and a message
 * that names the input. */
#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static const char* program;
static const char* picture_path;

/* ---- Queries ---- */

static vsearch_status find(const vsearch_catalog* shop, const vsearch_query* query, uint32_t k,
                           const char* where) {
  const vsearch_search_options options = {.struct_size = sizeof options, .k = k, .where = where};
  vsearch_hits* hits = (vsearch_hits*)&error;
  const vsearch_status status = vsearch_catalog_search(shop, query, &options, &hits, &error);
  CHECK((status == VSEARCH_OK) == (hits != NULL));
  vsearch_hits_free(hits);
  return status;
}

static void test_queries(const vsearch_catalog* shop) {
  const float embedding[3] = {1, 2, 3};
  vsearch_query query = {.struct_size = sizeof query, .like = "stripes"};
  const vsearch_query none = {.struct_size = sizeof none};
  vsearch_search_options options = {.struct_size = sizeof options, .k = 1};
  vsearch_hits* hits = NULL;

  CHECK_OK(find(shop, &query, 1, NULL));
  CHECK_FAILS(find(shop, &query, 0, NULL), VSEARCH_INVALID_ARGUMENT, "k");
  CHECK_FAILS(find(shop, &query, 1, "colour = "), VSEARCH_INVALID_ARGUMENT, "colour");
  query.like = "no such key";
  CHECK_FAILS(find(shop, &query, 1, NULL), VSEARCH_KEY_NOT_FOUND, "no such key");
  query.image_path = picture_path;
  CHECK_FAILS(find(shop, &query, 1, NULL), VSEARCH_INVALID_ARGUMENT, "exactly one of");
  CHECK_FAILS(find(shop, &none, 1, NULL), VSEARCH_INVALID_ARGUMENT, "exactly one of");
  query.like = NULL;
  query.image_path = "no-such-picture.jpg";
  CHECK_FAILS(find(shop, &query, 1, NULL), VSEARCH_FILE_NOT_FOUND, "no-such-picture.jpg");
  query.image_path = NULL;
  query.embedding = embedding;
  query.embedding_dim = 3;
  CHECK_FAILS(find(shop, &query, 1, NULL), VSEARCH_INVALID_ARGUMENT, "3");
  query.embedding = NULL;
  query.image_bytes = "not a picture";
  query.image_bytes_length = 13;
  CHECK_FAILS(find(shop, &query, 1, NULL), VSEARCH_BAD_IMAGE, "query.image_bytes");
  query.image_bytes_length = 0;
  CHECK_FAILS(find(shop, &query, 1, NULL), VSEARCH_BAD_IMAGE, "query.image_bytes");
  query.image_bytes = NULL;
  query.pixels.data = (const uint8_t*)"RGB";
  query.pixels.width_px = 1;
  query.pixels.height_px = 1;
  query.pixels.stride_bytes = 2;
  CHECK_FAILS(find(shop, &query, 1, NULL), VSEARCH_INVALID_ARGUMENT, "query.pixels.stride_bytes");

  query.struct_size = 0;
  CHECK_FAILS(find(shop, &query, 1, NULL), VSEARCH_INVALID_ARGUMENT, "query.struct_size is 0");
  CHECK_FAILS(find(shop, NULL, 1, NULL), VSEARCH_INVALID_ARGUMENT, "query is NULL");
  query.struct_size = sizeof query;
  CHECK_FAILS(vsearch_catalog_search(shop, &query, NULL, &hits, &error), VSEARCH_INVALID_ARGUMENT,
              "options is NULL");
  CHECK_FAILS(vsearch_catalog_search(shop, &query, &options, NULL, &error),
              VSEARCH_INVALID_ARGUMENT, "out is NULL");
  options.struct_size = sizeof options.struct_size; /* too short to hold k */
  CHECK_FAILS(vsearch_catalog_search(shop, &query, &options, &hits, &error),
              VSEARCH_INVALID_ARGUMENT, "options.struct_size is 8");
}

/* ---- Adding ---- */

/* The one failure of adding one item with one picture. */
static void add_fails(vsearch_catalog* shop, const vsearch_picture* picture, const char* metadata,
                      vsearch_status status, const char* text) {
  const vsearch_item item = {.struct_size = sizeof item,
                             .key = "bad",
                             .pictures = picture,
                             .picture_count = 1,
                             .metadata = metadata};
  vsearch_add_report* report = NULL;
  int32_t present = 1;
  CHECK_OK(vsearch_catalog_add(shop, &item, 1, NULL, &report, &error));
  CHECK(vsearch_add_report_added(report) == 0);
  CHECK(vsearch_add_report_failure_count(report) == 1);
  const vsearch_add_failure* failure = vsearch_add_report_failure(report, 0);
  if (failure != NULL) {
    CHECK(strcmp(failure->key, "bad") == 0);
    if (failure->status != status || strstr(failure->message, text) == NULL) {
      fprintf(stderr, "expected %s with \"%s\", got %s: %s\n", vsearch_status_name(status), text,
              vsearch_status_name(failure->status), failure->message);
      CHECK(!"the failure is the expected one");
    }
    if (picture->path != NULL && status != VSEARCH_INVALID_ARGUMENT) {
      CHECK(strcmp(failure->path, picture->path) == 0);
    }
  }
  vsearch_add_report_free(report);
  CHECK_OK(vsearch_catalog_contains(shop, "bad", &present, &error));
  CHECK(present == 0);
}

static void test_bad_pictures(vsearch_catalog* shop) {
  const float embedding[3] = {1, 2, 3};
  size_t length = 0;
  char* whole = read_file(picture_path, &length);
  vsearch_picture picture = {.struct_size = sizeof picture};

  picture.path = temp_path("missing.jpg");
  add_fails(shop, &picture, NULL, VSEARCH_FILE_NOT_FOUND, "missing.jpg");
  picture.path = temp_path("empty.jpg");
  write_file(picture.path, "", 0);
  add_fails(shop, &picture, NULL, VSEARCH_BAD_IMAGE, "empty.jpg");
  picture.path = temp_path("text.jpg");
  write_file(picture.path, "this is text, not a picture", 27);
  add_fails(shop, &picture, NULL, VSEARCH_BAD_IMAGE, "text.jpg");
  picture.path = temp_path("truncated.bmp");
  write_file(picture.path, whole, length / 2);
  add_fails(shop, &picture, NULL, VSEARCH_BAD_IMAGE, "truncated.bmp");
  picture.path = picture_path;
  add_fails(shop, &picture, "{\"colour\": ", VSEARCH_INVALID_ARGUMENT, "metadata");
  add_fails(shop, &picture, "[1, 2]", VSEARCH_INVALID_ARGUMENT, "metadata");
  picture.embedding = embedding;
  picture.embedding_dim = 3;
  add_fails(shop, &picture, NULL, VSEARCH_INVALID_ARGUMENT, "3");
  free(whole);
}

/* Not a bad picture but a bad call: nothing is added. */
static void test_bad_items(vsearch_catalog* shop) {
  vsearch_picture pictures[2] = {{.struct_size = sizeof pictures[0], .path = picture_path},
                                 {.struct_size = sizeof pictures[0], .path = picture_path}};
  vsearch_item items[2] = {
      {.struct_size = sizeof items[0], .key = "first", .pictures = pictures, .picture_count = 1},
      {.struct_size = sizeof items[0], .key = "second", .pictures = pictures, .picture_count = 2}};
  int32_t present = 1;
  items[1].key = NULL;
  CHECK_FAILS(vsearch_catalog_add(shop, items, 2, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "items[1].key is NULL");
  items[1].key = "second";
  items[1].pictures = NULL;
  CHECK_FAILS(vsearch_catalog_add(shop, items, 2, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "items[1].pictures is NULL");
  items[1].pictures = pictures;
  pictures[1].path = NULL;
  CHECK_FAILS(vsearch_catalog_add(shop, items, 2, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "items[1].pictures[1] has no path");
  pictures[1].bytes = "";
  CHECK_FAILS(vsearch_catalog_add(shop, items, 2, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "items[1].pictures[1].bytes_length is 0");
  pictures[1].bytes = NULL;
  pictures[1].embedding = (const float*)&error;
  CHECK_FAILS(vsearch_catalog_add(shop, items, 2, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "items[1].pictures[1].embedding_dim is 0");
  items[1].struct_size = sizeof items[1] - 1;
  CHECK_FAILS(vsearch_catalog_add(shop, items, 2, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "items[1].struct_size differs from that of items[0]");
  items[0].struct_size = 0;
  CHECK_FAILS(vsearch_catalog_add(shop, items, 2, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "items[0].struct_size is 0");
  CHECK_FAILS(vsearch_catalog_add(shop, NULL, 2, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "items is NULL");
  CHECK_OK(vsearch_catalog_contains(shop, "first", &present, &error));
  CHECK(present == 0);

  const char* const keys[] = {"stripes", NULL};
  CHECK_FAILS(vsearch_catalog_remove(shop, keys, 2, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "keys[1] is NULL");
  CHECK_FAILS(vsearch_catalog_remove(shop, NULL, 1, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "keys is NULL");
  CHECK_FAILS(vsearch_catalog_contains(shop, NULL, &present, &error), VSEARCH_INVALID_ARGUMENT,
              "key is NULL");
  CHECK_OK(vsearch_catalog_contains(shop, "stripes", &present, &error));
  CHECK(present == 1);
}

/* ---- Opening ---- */

/* In a process of its own: the exit status is the vsearch_status of opening `path`. */
static int open_in_this_process(const char* path) {
  vsearch_catalog* shop = NULL;
  const vsearch_status status = vsearch_catalog_open(path, NULL, &shop, &error);
  vsearch_catalog_free(shop);
  if (strstr(error.message, path) == NULL && status != VSEARCH_OK) return 100;
  return status;
}

static int open_in_another_process(const char* path) {
  int result = -1;
  const pid_t child = fork();
  if (child == 0) {
    execl(program, program, "--open", path, (char*)NULL);
    _exit(101);
  }
  CHECK(waitpid(child, &result, 0) == child && WIFEXITED(result));
  return WEXITSTATUS(result);
}

static void test_open_and_create(const vsearch_catalog* shop, const char* path) {
  vsearch_catalog* other = (vsearch_catalog*)&error;
  vsearch_catalog_options options = {.struct_size = sizeof options, .encoder = "no-such-model"};
  (void)shop; /* keeps it open */
  CHECK(open_in_another_process(path) == VSEARCH_BUSY);
  CHECK_FAILS(vsearch_catalog_create(path, NULL, &other, &error), VSEARCH_ALREADY_EXISTS, path);
  CHECK(other == NULL);
  CHECK_FAILS(vsearch_catalog_create(temp_path("new.vsearch"), &options, &other, &error),
              VSEARCH_FILE_NOT_FOUND, "no-such-model");
  options.encoder = temp_path("text.vsm.pt");
  write_file(options.encoder, "this is no model", 16);
  CHECK_FAILS(vsearch_catalog_create(temp_path("new.vsearch"), &options, &other, &error),
              VSEARCH_BAD_MODEL, "text.vsm.pt");
  options.struct_size = 0;
  CHECK_FAILS(vsearch_catalog_create(temp_path("new.vsearch"), &options, &other, &error),
              VSEARCH_INVALID_ARGUMENT, "options.struct_size is 0");
  CHECK_FAILS(vsearch_catalog_open(picture_path, NULL, &other, &error), VSEARCH_CORRUPT,
              picture_path);
}

/* ---- Damage ---- */

static void count_warnings(void* user, int level, const char* message) {
  if (level >= 1 && strlen(message) > 0) ++*(int*)user;
}

/* Overwrites the middle of every file of the catalogue that is not part of its database; returns
 * how many there were. */
static int damage_snapshots(const char* path) {
  int damaged = 0;
  DIR* folder = opendir(path);
  CHECK(folder != NULL);
  if (folder == NULL) return 0;
  for (struct dirent* entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    if (entry->d_name[0] == '.' || strncmp(entry->d_name, "catalog.db", 10) == 0) continue;
    char file[4096];
    size_t length = 0;
    snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
    char* bytes = read_file(file, &length);
    if (length > 0) {
      bytes[length / 2] = (char)(bytes[length / 2] + 1);
      write_file(file, bytes, length);
      ++damaged;
    }
    free(bytes);
  }
  closedir(folder);
  return damaged;
}

static void test_damaged_snapshot(const char* path) {
  int warnings = 0;
  vsearch_catalog* shop = NULL;
  const vsearch_catalog_options options = {
      .struct_size = sizeof options, .log = count_warnings, .log_user = &warnings};
  CHECK(damage_snapshots(path) > 0);
  CHECK_OK(vsearch_catalog_open(path, &options, &shop, &error));
  CHECK(warnings > 0);
  const vsearch_query like = {.struct_size = sizeof like, .like = "stripes"};
  CHECK_OK(find(shop, &like, 1, NULL));
  vsearch_catalog_free(shop);
}

static void test_damaged_database(const char* path) {
  vsearch_catalog* shop = (vsearch_catalog*)&error;
  char file[4096];
  size_t length = 0;
  snprintf(file, sizeof file, "%s/catalog.db", path);
  char* bytes = read_file(file, &length);
  memset(bytes, 'x', length < 200 ? length : 200);
  write_file(file, bytes, length);
  CHECK_FAILS(vsearch_catalog_open(path, NULL, &shop, &error), VSEARCH_CORRUPT, "catalog.db");
  CHECK(shop == NULL);
  size_t length_after = 0;
  char* after = read_file(file, &length_after);
  CHECK(length_after == length && memcmp(after, bytes, length) == 0); /* left as it was */
  free(after);
  free(bytes);
}

int main(int argc, char** argv) {
  if (argc == 3) return open_in_this_process(argv[2]);
  program = argv[0];
  if (!have_default_encoder()) return test_result();

  const char* path = temp_path("shop.vsearch");
  vsearch_catalog* shop = NULL;
  picture_path = temp_path("stripes.bmp");
  write_bmp(0, picture_path);
  const vsearch_picture pictures[1] = {{.struct_size = sizeof pictures[0], .path = picture_path}};
  const vsearch_item items[2] = {
      {.struct_size = sizeof items[0], .key = "stripes", .pictures = pictures, .picture_count = 1},
      {.struct_size = sizeof items[0],
       .key = "stripes again",
       .pictures = pictures,
       .picture_count = 1}};
  CHECK_OK(vsearch_catalog_create(path, NULL, &shop, &error));
  CHECK_OK(vsearch_catalog_add(shop, items, 2, NULL, NULL, &error));
  test_queries(shop);
  test_bad_pictures(shop);
  test_bad_items(shop);
  test_open_and_create(shop, path);
  vsearch_catalog_free(shop);
  CHECK(open_in_another_process(path) == VSEARCH_OK);
  test_damaged_snapshot(path);
  test_damaged_database(path);
  return test_result();
}
