/* Items as the catalogue holds them: crops, roles, URIs, kept files, and what is read back. */
#define _XOPEN_SOURCE 700
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support.h"

static const char* paths[PICTURE_COUNT];

/* ---- URIs ---- */

struct shop_server {
  int requests;
};

/* The pictures by their names; everything else is not there, in several ways. */
static vsearch_status fetch(void* user, const char* uri, vsearch_sink* sink, vsearch_error* why) {
  ++((struct shop_server*)user)->requests;
  if (strstr(uri, "unknown") != NULL) return 99;
  if (strstr(uri, "refused") != NULL) return VSEARCH_REFUSED;
  if (strstr(uri, "away") != NULL) return VSEARCH_UNAVAILABLE;
  if (strstr(uri, "silent") != NULL) return VSEARCH_FILE_NOT_FOUND;
  if (strstr(uri, "gone") != NULL) {
    strcpy(why->message, "the shop says 410");
    return VSEARCH_FILE_NOT_FOUND;
  }
  size_t length = 0;
  void* file = read_file(paths[2], &length);
  vsearch_status status = vsearch_sink_write(sink, file, 1000, why);
  if (status == VSEARCH_OK) {
    status = vsearch_sink_write(sink, (const char*)file + 1000, length - 1000, why);
  }
  if (status == VSEARCH_OK) status = vsearch_sink_write(sink, NULL, 0, why);
  free(file);
  return status;
}

static void check_fetch_fails(vsearch_catalog* shop, const char* uri, vsearch_status status,
                              const char* text) {
  const vsearch_picture picture = {.struct_size = sizeof picture, .path = uri};
  const vsearch_item item = {
      .struct_size = sizeof item, .key = "elsewhere", .pictures = &picture, .picture_count = 1};
  vsearch_add_report* report = NULL;
  CHECK_OK(vsearch_catalog_add(shop, &item, 1, NULL, &report, &error));
  const vsearch_add_failure* failure = vsearch_add_report_failure(report, 0);
  CHECK(failure != NULL && failure->status == status && strcmp(failure->path, uri) == 0);
  CHECK(failure != NULL && strstr(failure->message, text) != NULL);
  CHECK(vsearch_add_report_failure_count(report) == 1 && vsearch_add_report_added(report) == 0);
  vsearch_add_report_free(report);
}

static void test_uris(vsearch_catalog* shop, const struct shop_server* server) {
  add_file(shop, "far", "https://shop.example/disc.bmp");
  CHECK(server->requests == 1);
  const vsearch_query query = {.struct_size = sizeof query, .image_path = paths[2]};
  const vsearch_search_options options = {.struct_size = sizeof options, .k = 1};
  vsearch_hits* hits = NULL;
  CHECK_OK(vsearch_catalog_search(shop, &query, &options, &hits, &error));
  CHECK(vsearch_hits_count(hits) == 1 && strcmp(vsearch_hits_at(hits, 0)->key, "far") == 0);
  vsearch_hits_free(hits);

  check_fetch_fails(shop, "https://shop.example/gone.bmp", VSEARCH_FILE_NOT_FOUND,
                    "the shop says 410");
  check_fetch_fails(shop, "https://shop.example/silent.bmp", VSEARCH_FILE_NOT_FOUND,
                    "file not found");
  check_fetch_fails(shop, "https://shop.example/unknown.bmp", VSEARCH_IO, "unknown status");
  /* A status of calls is no picture's, and does not end the call. */
  check_fetch_fails(shop, "https://shop.example/refused.bmp", VSEARCH_IO, "refused");
  check_fetch_fails(shop, "https://shop.example/away.bmp", VSEARCH_UNAVAILABLE, "unavailable");
  const char* const keys[] = {"far"};
  CHECK_OK(vsearch_catalog_remove(shop, keys, 1, NULL, &error));

  CHECK_FAILS(vsearch_sink_write(NULL, "x", 1, &error), VSEARCH_INVALID_ARGUMENT, "sink is NULL");
}

/* ---- What is given, and read back ---- */

static void test_pictures(vsearch_catalog* shop) {
  float embedding[STAND_IN_DIM];
  for (int i = 0; i < STAND_IN_DIM; ++i) embedding[i] = (float)(i + 1);
  char fingerprint[65] = "";
  vsearch_catalog_info info = {.struct_size = sizeof info};
  CHECK_OK(vsearch_catalog_get_info(shop, &info, &error));
  strcpy(fingerprint, info.encoder_fingerprint);

  const vsearch_picture pictures[3] = {{.struct_size = sizeof pictures[0],
                                        .path = paths[0],
                                        .crop = {0.25F, 0, 0.75F, 0.5F},
                                        .role = "front",
                                        .keep_bytes = 1},
                                       {.struct_size = sizeof pictures[0], .path = paths[0]},
                                       {.struct_size = sizeof pictures[0],
                                        .embedding = embedding,
                                        .embedding_dim = STAND_IN_DIM,
                                        .embedding_fingerprint = fingerprint}};
  const vsearch_item item = {.struct_size = sizeof item,
                             .key = "shirt",
                             .pictures = pictures,
                             .picture_count = 3,
                             .metadata = "{\"colour\": \"red\"}"};
  vsearch_add_report* report = NULL;
  CHECK_OK(vsearch_catalog_add(shop, &item, 1, NULL, &report, &error));
  CHECK(vsearch_add_report_added(report) == 1);
  CHECK(vsearch_add_report_encoded(report) == 2);
  vsearch_add_report_free(report);
  CHECK_OK(vsearch_catalog_add(shop, &item, 1, NULL, &report, &error));
  CHECK(vsearch_add_report_replaced(report) == 1);
  CHECK(vsearch_add_report_encoded(report) == 0); /* the same pictures */
  vsearch_add_report_free(report);

  vsearch_item_record* record = NULL;
  CHECK_OK(vsearch_catalog_get(shop, "shirt", &record, &error));
  CHECK(strcmp(vsearch_item_record_key(record), "shirt") == 0);
  CHECK(strstr(vsearch_item_record_metadata(record), "\"red\"") != NULL);
  CHECK(vsearch_item_record_picture_count(record) == 3);
  CHECK(vsearch_item_record_picture(record, 3) == NULL);
  const vsearch_picture_info* first = vsearch_item_record_picture(record, 0);
  const vsearch_picture_info* second = vsearch_item_record_picture(record, 1);
  const vsearch_picture_info* third = vsearch_item_record_picture(record, 2);
  if (first != NULL && second != NULL && third != NULL) {
    size_t length = 0;
    free(read_file(paths[0], &length));
    CHECK(strcmp(first->path, paths[0]) == 0 && strcmp(first->role, "front") == 0);
    CHECK(first->crop[0] == 0.25F && first->crop[1] == 0);
    CHECK(first->crop[2] == 0.75F && first->crop[3] == 0.5F);
    CHECK(strlen(first->content_hash) == 64 && first->kept_bytes == length);
    CHECK(strcmp(second->role, "") == 0 && second->kept_bytes == 0);
    CHECK(second->crop[0] == 0 && second->crop[1] == 0);
    CHECK(second->crop[2] == 1 && second->crop[3] == 1);
    CHECK(strcmp(second->content_hash, first->content_hash) == 0 && second->id != first->id);
    CHECK(strcmp(third->path, "") == 0 && strcmp(third->content_hash, "") == 0);
  }
  vsearch_item_record_free(record);

  const vsearch_query query = {
      .struct_size = sizeof query, .image_path = paths[0], .embedding = NULL};
  const vsearch_search_options options = {.struct_size = sizeof options, .k = 1};
  vsearch_hits* hits = NULL;
  CHECK_OK(vsearch_catalog_search(shop, &query, &options, &hits, &error));
  CHECK(vsearch_hits_count(hits) == 1 && strcmp(vsearch_hits_at(hits, 0)->role, "") == 0);
  vsearch_hits_free(hits);

  record = (vsearch_item_record*)&error;
  CHECK_FAILS(vsearch_catalog_get(shop, "no such key", &record, &error), VSEARCH_KEY_NOT_FOUND,
              "no such key");
  CHECK(record == NULL);
  CHECK_FAILS(vsearch_catalog_get(shop, NULL, &record, &error), VSEARCH_INVALID_ARGUMENT,
              "key is NULL");
}

static void check_picture_fails(vsearch_catalog* shop, vsearch_picture picture,
                                vsearch_status status, const char* text) {
  const vsearch_item item = {
      .struct_size = sizeof item, .key = "bad", .pictures = &picture, .picture_count = 1};
  vsearch_add_report* report = NULL;
  CHECK_OK(vsearch_catalog_add(shop, &item, 1, NULL, &report, &error));
  const vsearch_add_failure* failure = vsearch_add_report_failure(report, 0);
  CHECK(failure != NULL && failure->status == status);
  CHECK(failure != NULL && strstr(failure->message, text) != NULL);
  vsearch_add_report_free(report);
}

static void test_bad_pictures(vsearch_catalog* shop) {
  float embedding[STAND_IN_DIM] = {1};
  vsearch_picture picture = {.struct_size = sizeof picture, .path = paths[1]};
  picture.crop[0] = 0.5F; /* the other three are 0: nothing is left of the picture */
  check_picture_fails(shop, picture, VSEARCH_INVALID_ARGUMENT, "crop");
  picture.embedding = embedding;
  picture.embedding_dim = STAND_IN_DIM;
  picture.crop[0] = 0;
  picture.embedding_fingerprint = "of another encoder";
  check_picture_fails(shop, picture, VSEARCH_ENCODER_MISMATCH, "of another encoder");
}

/* ---- Callers built against an older header ---- */

static void test_older_structs(vsearch_catalog* shop) {
  struct {
    size_t struct_size;
    const char* path;
    const void* bytes;
    size_t bytes_length;
    const float* embedding;
    size_t embedding_dim;
  } pictures[2];
  struct {
    size_t struct_size;
    uint32_t k;
    uint32_t breadth;
    const char* where;
    int32_t exact;
  } options = {sizeof options, 2, 0, NULL, 1};
  memset(pictures, 0, sizeof pictures);
  pictures[0].struct_size = sizeof pictures[0];
  pictures[0].path = paths[1];
  pictures[1].struct_size = sizeof pictures[1];
  pictures[1].path = paths[3];
  const vsearch_item item = {.struct_size = sizeof item,
                             .key = "older",
                             .pictures = (const vsearch_picture*)pictures,
                             .picture_count = 2};
  CHECK_OK(vsearch_catalog_add(shop, &item, 1, NULL, NULL, &error));
  vsearch_item_record* record = NULL;
  CHECK_OK(vsearch_catalog_get(shop, "older", &record, &error));
  CHECK(vsearch_item_record_picture_count(record) == 2);
  const vsearch_picture_info* second = vsearch_item_record_picture(record, 1);
  CHECK(second != NULL && strcmp(second->path, paths[3]) == 0 && second->crop[2] == 1);
  vsearch_item_record_free(record);

  const vsearch_query query = {.struct_size = sizeof query, .image_path = paths[3]};
  vsearch_hits* hits = NULL;
  CHECK_OK(
      vsearch_catalog_search(shop, &query, (const vsearch_search_options*)&options, &hits, &error));
  CHECK(vsearch_hits_count(hits) == 2 && strcmp(vsearch_hits_at(hits, 0)->key, "older") == 0);
  vsearch_hits_free(hits);

  vsearch_catalog_info info = {.struct_size = offsetof(vsearch_catalog_info, snapshot_generation)};
  info.snapshot_generation = 99; /* behind its end: must stay */
  CHECK_OK(vsearch_catalog_get_info(shop, &info, &error));
  CHECK(info.items == 2 && info.snapshot_generation == 99);
}

/* ---- All items ---- */

struct walk {
  const vsearch_catalog* shop;
  int count;
  int stop_at; /* 0: never */
  char keys[64];
};

static int visit(void* user, const vsearch_item_record* record) {
  struct walk* walk = user;
  int32_t present = 0;
  /* The catalogue can be used meanwhile. */
  CHECK_OK(vsearch_catalog_contains(walk->shop, vsearch_item_record_key(record), &present, &error));
  CHECK(present == 1);
  CHECK(vsearch_item_record_picture_count(record) > 0);
  strcat(walk->keys, vsearch_item_record_key(record));
  strcat(walk->keys, " ");
  return ++walk->count == walk->stop_at;
}

static void test_walk(const vsearch_catalog* shop) {
  struct walk walk = {shop, 0, 0, ""};
  CHECK_OK(vsearch_catalog_for_each(shop, visit, &walk, &error));
  CHECK(strcmp(walk.keys, "older shirt ") == 0);
  struct walk shorter = {shop, 0, 1, ""};
  CHECK_OK(vsearch_catalog_for_each(shop, visit, &shorter, &error));
  CHECK(strcmp(shorter.keys, "older ") == 0);
  CHECK_FAILS(vsearch_catalog_for_each(shop, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "visit is NULL");

  vsearch_keys* keys = NULL;
  CHECK_OK(vsearch_catalog_keys(shop, &keys, &error));
  CHECK(vsearch_keys_count(keys) == 2);
  CHECK(strcmp(vsearch_keys_at(keys, 0), "older") == 0);
  CHECK(strcmp(vsearch_keys_at(keys, 1), "shirt") == 0);
  CHECK(vsearch_keys_at(keys, 2) == NULL);
  vsearch_keys_free(keys);
}

/* ---- Fields and filters ---- */

static size_t count_matches(const vsearch_catalog* shop, const char* where_json) {
  const vsearch_query query = {.struct_size = sizeof query, .image_path = paths[0]};
  const vsearch_search_options options = {
      .struct_size = sizeof options, .k = 10, .where_json = where_json};
  vsearch_hits* hits = NULL;
  CHECK_OK(vsearch_catalog_search(shop, &query, &options, &hits, &error));
  const size_t count = vsearch_hits_count(hits);
  vsearch_hits_free(hits);
  return count;
}

static void test_fields(vsearch_catalog* shop) {
  CHECK_OK(vsearch_catalog_declare_field(shop, "price", VSEARCH_FIELD_NUMBER, &error));
  CHECK_OK(vsearch_catalog_declare_field(shop, "colour", VSEARCH_FIELD_TEXT, &error));
  CHECK_OK(vsearch_catalog_declare_field(shop, "colour", VSEARCH_FIELD_TEXT, &error));
  vsearch_fields* fields = NULL;
  CHECK_OK(vsearch_catalog_fields(shop, &fields, &error));
  CHECK(vsearch_fields_count(fields) == 2);
  if (vsearch_fields_count(fields) == 2) {
    CHECK(strcmp(vsearch_fields_at(fields, 0)->name, "colour") == 0);
    CHECK(vsearch_fields_at(fields, 0)->type == VSEARCH_FIELD_TEXT);
    CHECK(strcmp(vsearch_fields_at(fields, 1)->name, "price") == 0);
    CHECK(vsearch_fields_at(fields, 1)->type == VSEARCH_FIELD_NUMBER);
  }
  CHECK(vsearch_fields_at(fields, 2) == NULL);
  vsearch_fields_free(fields);

  const vsearch_metadata_patch patch = {
      .struct_size = sizeof patch, .key = "shirt", .changes = "{\"price\": \"dear\"}"};
  CHECK_FAILS(vsearch_catalog_patch(shop, &patch, 1, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "price");
  CHECK_FAILS(vsearch_catalog_declare_field(shop, "size", 4, &error), VSEARCH_INVALID_ARGUMENT,
              "type is 4: set it to one of VSEARCH_FIELD_");
  CHECK_FAILS(vsearch_catalog_declare_field(shop, NULL, 0, &error), VSEARCH_INVALID_ARGUMENT,
              "name is NULL");

  CHECK(count_matches(shop, "{\"colour\": \"red\"}") == 1);
  CHECK(count_matches(shop, "{\"$not\": {\"colour\": \"red\"}}") == 1);
  CHECK(count_matches(shop, "{\"colour\": {\"in\": [\"green\"]}}") == 0);
  CHECK(count_matches(shop, "{}") == 2);
  const vsearch_query query = {.struct_size = sizeof query, .image_path = paths[0]};
  vsearch_search_options options = {.struct_size = sizeof options,
                                    .k = 1,
                                    .where = "colour = 'red'",
                                    .where_json = "{\"colour\": \"red\"}"};
  vsearch_hits* hits = NULL;
  CHECK_FAILS(vsearch_catalog_search(shop, &query, &options, &hits, &error),
              VSEARCH_INVALID_ARGUMENT, "where and where_json");
  options.where = NULL;
  options.where_json = "{\"colour\": ";
  CHECK_FAILS(vsearch_catalog_search(shop, &query, &options, &hits, &error),
              VSEARCH_INVALID_ARGUMENT, "JSON");

  CHECK_OK(vsearch_catalog_drop_field(shop, "price", &error));
  CHECK_FAILS(vsearch_catalog_drop_field(shop, "price", &error), VSEARCH_KEY_NOT_FOUND, "price");
}

/* ---- Snapshots ---- */

static uint64_t snapshot_of(const vsearch_catalog* shop, uint64_t* generation) {
  vsearch_catalog_info info = {.struct_size = sizeof info};
  CHECK_OK(vsearch_catalog_get_info(shop, &info, &error));
  *generation = info.generation;
  return info.snapshot_generation;
}

static void test_snapshots(void) {
  uint64_t generation = 0;
  const vsearch_catalog_options never = {.struct_size = sizeof never,
                                         .snapshot_changes = UINT64_MAX};
  vsearch_catalog* shop = make_catalog("never.vsearch", &never);
  add_file(shop, "stripes", paths[0]);
  CHECK(snapshot_of(shop, &generation) < generation);
  CHECK_OK(vsearch_catalog_save_snapshot(shop, &error));
  CHECK(snapshot_of(shop, &generation) == generation);
  vsearch_catalog_free(shop);

  const vsearch_catalog_options often = {.struct_size = sizeof often, .snapshot_changes = 1};
  shop = make_catalog("often.vsearch", &often);
  add_file(shop, "stripes", paths[0]);
  const struct timespec pause = {0, 10 * 1000 * 1000};
  for (int i = 0; i < 3000 && snapshot_of(shop, &generation) < generation; ++i) {
    nanosleep(&pause, NULL);
  }
  CHECK(snapshot_of(shop, &generation) == generation);
  vsearch_catalog_free(shop);
}

int main(void) {
  for (int i = 0; i < PICTURE_COUNT; ++i) {
    paths[i] = temp_path(picture_name(i));
    write_bmp(i, paths[i]);
  }
  struct shop_server server = {0};
  const vsearch_catalog_options options = {
      .struct_size = sizeof options, .fetch = fetch, .fetch_user = &server};
  vsearch_catalog* shop = make_catalog("shop.vsearch", &options);
  test_uris(shop, &server);
  test_pictures(shop);
  test_bad_pictures(shop);
  test_older_structs(shop);
  test_walk(shop);
  test_fields(shop);
  vsearch_catalog_free(shop);
  test_snapshots();
  return test_result();
}
