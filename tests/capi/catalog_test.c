/* The life of a catalogue through the C interface, with the default encoder. */
#define _XOPEN_SOURCE 700
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

enum { SEARCHES_PER_THREAD = 50 };

static const char* paths[PICTURE_COUNT];
static const char* const metadata[PICTURE_COUNT] = {"{\"colour\": \"red\", \"price\": 10}",
                                                    "{\"colour\": \"green\", \"price\": 20}",
                                                    "{\"colour\": \"blue\", \"price\": 30}", NULL};

static vsearch_hits* search(const vsearch_catalog* shop, const vsearch_query* query, uint32_t k,
                            const char* where, int32_t exact) {
  const vsearch_search_options options = {
      .struct_size = sizeof options, .k = k, .where = where, .exact = exact};
  vsearch_hits* hits = NULL;
  CHECK_OK(vsearch_catalog_search(shop, query, &options, &hits, &error));
  return hits;
}

static int first_hit_is(const vsearch_hits* hits, const char* key) {
  return vsearch_hits_count(hits) > 0 && strcmp(vsearch_hits_at(hits, 0)->key, key) == 0;
}

struct calls {
  int count;
  int cancel_at; /* 0: never */
  uint64_t done;
  uint64_t total;
};

static int count_calls(void* user, uint64_t done, uint64_t total) {
  struct calls* calls = user;
  calls->done = done;
  calls->total = total;
  return ++calls->count == calls->cancel_at;
}

static void test_add(vsearch_catalog* shop) {
  vsearch_picture pictures[PICTURE_COUNT];
  vsearch_item items[PICTURE_COUNT];
  struct calls calls = {0, 0, 0, 0};
  const vsearch_add_options options = {
      .struct_size = sizeof options, .progress = count_calls, .progress_user = &calls};
  vsearch_add_report* report = NULL;

  memset(pictures, 0, sizeof pictures);
  memset(items, 0, sizeof items);
  for (int i = 0; i < PICTURE_COUNT; ++i) {
    pictures[i].struct_size = sizeof pictures[i];
    pictures[i].path = paths[i];
    items[i].struct_size = sizeof items[i];
    items[i].key = picture_name(i);
    items[i].pictures = &pictures[i];
    items[i].picture_count = 1;
    items[i].metadata = metadata[i];
  }
  CHECK_OK(vsearch_catalog_add(shop, items, PICTURE_COUNT, &options, &report, &error));
  CHECK(vsearch_add_report_added(report) == PICTURE_COUNT);
  CHECK(vsearch_add_report_replaced(report) == 0);
  CHECK(vsearch_add_report_failure_count(report) == 0);
  CHECK(vsearch_add_report_failure(report, 0) == NULL);
  CHECK(calls.count > 0 && calls.done == PICTURE_COUNT && calls.total == PICTURE_COUNT);
  vsearch_add_report_free(report);

  CHECK_OK(vsearch_catalog_add(shop, items, 1, NULL, &report, &error));
  CHECK(vsearch_add_report_added(report) == 0);
  CHECK(vsearch_add_report_replaced(report) == 1);
  vsearch_add_report_free(report);
  CHECK_OK(vsearch_catalog_add(shop, items, 0, NULL, NULL, &error));

  int32_t present = -1;
  CHECK_OK(vsearch_catalog_contains(shop, "disc", &present, &error));
  CHECK(present == 1);
  CHECK_OK(vsearch_catalog_contains(shop, "square", &present, &error));
  CHECK(present == 0);
}

static void test_info(const vsearch_catalog* shop) {
  struct {
    vsearch_catalog_info known;
    uint64_t later;
  } newer = {{.struct_size = sizeof newer}, 7};
  vsearch_catalog_info info = {.struct_size = sizeof info};
  vsearch_catalog_info older = {.struct_size = offsetof(vsearch_catalog_info, pictures)};

  CHECK_OK(vsearch_catalog_get_info(shop, &info, &error));
  CHECK(info.struct_size == sizeof info);
  CHECK(info.items == PICTURE_COUNT);
  CHECK(info.pictures == PICTURE_COUNT);
  CHECK(info.generation > 0);
  CHECK(info.disk_bytes > 0);
  CHECK(info.index_memory_bytes > 0);
  CHECK(info.dim > 0);
  CHECK(info.metric == 0);
  CHECK(strlen(info.encoder_name) > 0);
  CHECK(strlen(info.encoder_fingerprint) == 64);

  older.pictures = 99; /* behind its end: must stay */
  CHECK_OK(vsearch_catalog_get_info(shop, &older, &error));
  CHECK(older.items == PICTURE_COUNT);
  CHECK(older.pictures == 99);

  CHECK_OK(vsearch_catalog_get_info(shop, &newer.known, &error));
  CHECK(newer.known.struct_size == sizeof newer);
  CHECK(newer.known.items == PICTURE_COUNT);
  CHECK(newer.later == 0); /* what this library does not know is 0 */

  info.struct_size = 0;
  CHECK_FAILS(vsearch_catalog_get_info(shop, &info, &error), VSEARCH_INVALID_ARGUMENT,
              "info.struct_size is 0");
  CHECK_FAILS(vsearch_catalog_get_info(shop, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "info is NULL");
}

static void test_search(const vsearch_catalog* shop) {
  static uint8_t rgb[PICTURE_SIDE_PX * PICTURE_SIDE_PX * 3];
  vsearch_query by_path = {.struct_size = sizeof by_path};
  vsearch_query by_bytes = {.struct_size = sizeof by_bytes};
  vsearch_query by_pixels = {.struct_size = sizeof by_pixels};
  for (int i = 0; i < PICTURE_COUNT; ++i) {
    by_path.image_path = paths[i];
    vsearch_hits* hits = search(shop, &by_path, 10, NULL, 0);
    CHECK(vsearch_hits_count(hits) == PICTURE_COUNT);
    CHECK(first_hit_is(hits, picture_name(i)));
    CHECK_NEAR(vsearch_hits_at(hits, 0)->score, 1.0F, 1e-3F);
    CHECK_NEAR(vsearch_hits_at(hits, 0)->distance, 0.0F, 1e-3F);
    CHECK(strcmp(vsearch_hits_at(hits, 0)->path, paths[i]) == 0);
    CHECK(strstr(vsearch_hits_at(hits, 0)->metadata, i == 2 ? "blue" : "{") != NULL);
    for (size_t h = 1; h < vsearch_hits_count(hits); ++h) {
      CHECK(vsearch_hits_at(hits, h)->distance >= vsearch_hits_at(hits, h - 1)->distance);
      CHECK(vsearch_hits_at(hits, h)->score >= 0 && vsearch_hits_at(hits, h)->score < 1);
    }
    CHECK(vsearch_hits_at(hits, PICTURE_COUNT) == NULL);
    vsearch_hits_free(hits);

    size_t length = 0;
    void* file = read_file(paths[i], &length);
    by_bytes.image_bytes = file;
    by_bytes.image_bytes_length = length;
    hits = search(shop, &by_bytes, 1, NULL, 1);
    CHECK(vsearch_hits_count(hits) == 1 && first_hit_is(hits, picture_name(i)));
    vsearch_hits_free(hits);
    free(file);

    fill_picture(i, rgb);
    by_pixels.pixels.data = rgb;
    by_pixels.pixels.width_px = PICTURE_SIDE_PX;
    by_pixels.pixels.height_px = PICTURE_SIDE_PX;
    by_pixels.pixels.stride_bytes = PICTURE_SIDE_PX * 3;
    hits = search(shop, &by_pixels, 2, NULL, 0);
    CHECK(vsearch_hits_count(hits) == 2 && first_hit_is(hits, picture_name(i)));
    vsearch_hits_free(hits);
  }
}

static void test_like_and_where(const vsearch_catalog* shop) {
  const vsearch_query like = {.struct_size = sizeof like, .like = "stripes"};
  vsearch_hits* hits = search(shop, &like, 10, NULL, 0);
  CHECK(vsearch_hits_count(hits) == PICTURE_COUNT - 1);
  for (size_t i = 0; i < vsearch_hits_count(hits); ++i) {
    CHECK(strcmp(vsearch_hits_at(hits, i)->key, "stripes") != 0);
  }
  vsearch_hits_free(hits);

  const vsearch_query query = {.struct_size = sizeof query, .image_path = paths[0]};
  hits = search(shop, &query, 10, "price >= 20", 0);
  CHECK(vsearch_hits_count(hits) == 2);
  vsearch_hits_free(hits);
  hits = search(shop, &query, 10, "colour = 'green'", 1);
  CHECK(vsearch_hits_count(hits) == 1 && first_hit_is(hits, "checks"));
  vsearch_hits_free(hits);
  hits = search(shop, &query, 10, "colour = 'white'", 0);
  CHECK(vsearch_hits_count(hits) == 0);
  vsearch_hits_free(hits);
}

/* Pictures in memory and embeddings from elsewhere; several pictures of one item. */
static void test_bytes_and_embeddings(vsearch_catalog* shop) {
  vsearch_encoder* encoder = NULL;
  vsearch_encoder_options quick = {.struct_size = sizeof quick, .skip_verify = 1};
  CHECK_OK(vsearch_encoder_load(NULL, &quick, &encoder, &error));
  const size_t dim = vsearch_encoder_dim(encoder);
  float* embedding = malloc(dim * sizeof *embedding);
  CHECK_OK(vsearch_encoder_encode_files(encoder, &paths[3], 1, NULL, embedding, dim, NULL, &error));
  vsearch_encoder_free(encoder);

  size_t length = 0;
  void* file = read_file(paths[0], &length);
  const vsearch_picture pictures[2] = {
      {.struct_size = sizeof pictures[0],
       .path = "https://shop.example/1.bmp",
       .bytes = file,
       .bytes_length = length},
      {.struct_size = sizeof pictures[0], .embedding = embedding, .embedding_dim = dim}};
  const vsearch_item item = {
      .struct_size = sizeof item, .key = "both", .pictures = pictures, .picture_count = 2};
  CHECK_OK(vsearch_catalog_add(shop, &item, 1, NULL, NULL, &error));

  const vsearch_query query = {
      .struct_size = sizeof query, .embedding = embedding, .embedding_dim = dim};
  vsearch_hits* hits = search(shop, &query, 2, NULL, 0);
  CHECK(vsearch_hits_count(hits) == 2);
  for (size_t i = 0; i < vsearch_hits_count(hits); ++i) {
    const char* key = vsearch_hits_at(hits, i)->key;
    CHECK(strcmp(key, "both") == 0 || strcmp(key, "ramp") == 0);
    CHECK_NEAR(vsearch_hits_at(hits, i)->distance, 0.0F, 1e-3F);
  }
  vsearch_hits_free(hits);

  const vsearch_query like = {.struct_size = sizeof like, .like = "stripes"};
  hits = search(shop, &like, 1, NULL, 0);
  CHECK(first_hit_is(hits, "both"));
  CHECK(strcmp(vsearch_hits_at(hits, 0)->path, "https://shop.example/1.bmp") == 0);
  vsearch_hits_free(hits);
  free(file);
  free(embedding);
}

static void test_patch(vsearch_catalog* shop) {
  const vsearch_metadata_patch patches[3] = {
      {.struct_size = sizeof patches[0], .key = "both", .changes = "{\"price\": 5}"},
      {.struct_size = sizeof patches[0], .key = "no such key", .changes = "{}"},
      {.struct_size = sizeof patches[0], .key = "both", .changes = "{\"price\": 7}"}};
  uint64_t patched = 0;
  CHECK_OK(vsearch_catalog_patch(shop, patches, 3, &patched, &error));
  CHECK(patched == 1);
  const vsearch_query like = {.struct_size = sizeof like, .like = "stripes"};
  vsearch_hits* hits = search(shop, &like, 5, "price = 7", 0);
  CHECK(vsearch_hits_count(hits) == 1);
  CHECK(first_hit_is(hits, "both"));
  vsearch_hits_free(hits);
  const vsearch_metadata_patch bad = {
      .struct_size = sizeof bad, .key = "both", .changes = "price: 5"};
  CHECK_FAILS(vsearch_catalog_patch(shop, &bad, 1, &patched, &error), VSEARCH_INVALID_ARGUMENT,
              "item both: a patch is not valid JSON");
  CHECK(patched == 0);
  CHECK_OK(vsearch_catalog_patch(shop, NULL, 0, NULL, &error));
}

static void test_remove(vsearch_catalog* shop) {
  const char* const keys[] = {"both", "no such key", "both"};
  uint64_t removed = 0;
  int32_t present = 1;
  CHECK_OK(vsearch_catalog_remove(shop, keys, 3, &removed, &error));
  CHECK(removed == 1);
  CHECK_OK(vsearch_catalog_contains(shop, "both", &present, &error));
  CHECK(present == 0);
  CHECK_OK(vsearch_catalog_remove(shop, keys, 2, NULL, &error));
  CHECK_OK(vsearch_catalog_remove(shop, NULL, 0, &removed, &error));
  CHECK(removed == 0);
}

static void test_cancelled_add(vsearch_catalog* shop) {
  const vsearch_picture picture = {.struct_size = sizeof picture, .path = paths[1]};
  vsearch_item items[64];
  char keys[64][16];
  struct calls calls = {0, 1, 0, 0};
  const vsearch_add_options options = {
      .struct_size = sizeof options, .progress = count_calls, .progress_user = &calls};
  vsearch_add_report* report = (vsearch_add_report*)&error;
  memset(items, 0, sizeof items);
  for (int i = 0; i < 64; ++i) {
    keys[i][0] = 'c';
    keys[i][1] = (char)('0' + i / 8);
    keys[i][2] = (char)('0' + i % 8);
    keys[i][3] = '\0';
    items[i].struct_size = sizeof items[i];
    items[i].key = keys[i];
    items[i].pictures = &picture;
    items[i].picture_count = 1;
  }
  CHECK_FAILS(vsearch_catalog_add(shop, items, 64, &options, &report, &error), VSEARCH_CANCELLED,
              "cancel");
  CHECK(report == NULL);
  CHECK(calls.count == 1); /* not asked again */
  vsearch_catalog_info info = {.struct_size = sizeof info};
  CHECK_OK(vsearch_catalog_get_info(shop, &info, &error));
  CHECK(info.items < PICTURE_COUNT + 64);
}

static void* search_often(void* shop) {
  const vsearch_query like = {.struct_size = sizeof like, .like = "disc"};
  const vsearch_search_options options = {.struct_size = sizeof options, .k = 3};
  size_t failures = 0;
  for (int i = 0; i < SEARCHES_PER_THREAD; ++i) {
    vsearch_error mine;
    vsearch_hits* hits = NULL;
    if (vsearch_catalog_search(shop, &like, &options, &hits, &mine) != VSEARCH_OK) ++failures;
    if (vsearch_hits_count(hits) != 3) ++failures;
    vsearch_hits_free(hits);
  }
  return failures == 0 ? shop : NULL;
}

static void test_threads(vsearch_catalog* shop) {
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) CHECK(pthread_create(&threads[i], NULL, search_often, shop) == 0);
  const vsearch_picture picture = {.struct_size = sizeof picture, .path = paths[2]};
  const vsearch_item item = {
      .struct_size = sizeof item, .key = "beside", .pictures = &picture, .picture_count = 1};
  CHECK_OK(vsearch_catalog_add(shop, &item, 1, NULL, NULL, &error));
  for (int i = 0; i < 4; ++i) {
    void* result = NULL;
    CHECK(pthread_join(threads[i], &result) == 0);
    CHECK(result == shop);
  }
}

/* Everything is there after closing and opening. */
static void test_reopen(const char* path) {
  vsearch_catalog* shop = NULL;
  CHECK_OK(vsearch_catalog_open(path, NULL, &shop, &error));
  const vsearch_query like = {.struct_size = sizeof like, .like = "disc"};
  vsearch_hits* hits = search(shop, &like, 1, NULL, 0);
  CHECK(first_hit_is(hits, "beside")); /* the same picture */
  vsearch_hits_free(hits);
  /* The encoder the catalogue names is found when a picture must be encoded. */
  const vsearch_query query = {.struct_size = sizeof query, .image_path = paths[3]};
  hits = search(shop, &query, 1, NULL, 0);
  CHECK(first_hit_is(hits, "ramp"));
  vsearch_hits_free(hits);
  vsearch_catalog_free(shop);
}

int main(void) {
  if (!have_default_encoder()) return test_result();
  for (int i = 0; i < PICTURE_COUNT; ++i) {
    paths[i] = temp_path(picture_name(i));
    write_bmp(i, paths[i]);
  }
  const char* path = temp_path("shop.vsearch");
  vsearch_catalog* shop = NULL;
  CHECK_OK(vsearch_catalog_create(path, NULL, &shop, &error));
  if (shop == NULL) return test_result();
  test_add(shop);
  test_info(shop);
  test_search(shop);
  test_like_and_where(shop);
  test_bytes_and_embeddings(shop);
  test_patch(shop);
  test_remove(shop);
  test_threads(shop);
  test_cancelled_add(shop);
  vsearch_catalog_free(shop);
  test_reopen(path);
  return test_result();
}
