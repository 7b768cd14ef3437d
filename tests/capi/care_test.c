/* A catalogue is looked after: checked, compacted, backed up, exported and imported. */
#include <stdio.h>
#include <string.h>

#include "support.h"

enum { ITEM_COUNT = 2000, KEPT_COUNT = 200 };

static char keys[ITEM_COUNT][16];

/* Embeddings in directions of their own, the same in every run. */
static void fill(vsearch_catalog* shop) {
  static float embeddings[ITEM_COUNT][STAND_IN_DIM];
  static vsearch_picture pictures[ITEM_COUNT];
  static vsearch_item items[ITEM_COUNT];
  uint32_t state = 1;
  for (int i = 0; i < ITEM_COUNT; ++i) {
    snprintf(keys[i], sizeof keys[i], "item %03d", i);
    for (int d = 0; d < STAND_IN_DIM; ++d) {
      state = state * 1664525U + 1013904223U;
      embeddings[i][d] = (float)(state >> 8) / (float)(1U << 23) - 1.0F;
    }
    pictures[i].struct_size = sizeof pictures[i];
    pictures[i].embedding = embeddings[i];
    pictures[i].embedding_dim = STAND_IN_DIM;
    pictures[i].role = "front";
    items[i].struct_size = sizeof items[i];
    items[i].key = keys[i];
    items[i].pictures = &pictures[i];
    items[i].picture_count = 1;
    items[i].metadata = "{\"colour\": \"red\"}";
  }
  vsearch_add_report* report = NULL;
  CHECK_OK(vsearch_catalog_add(shop, items, ITEM_COUNT, NULL, &report, &error));
  CHECK(vsearch_add_report_added(report) == ITEM_COUNT);
  CHECK(vsearch_add_report_encoded(report) == 0);
  vsearch_add_report_free(report);
}

static void remove_most(vsearch_catalog* shop) {
  const char* gone[ITEM_COUNT];
  uint64_t removed = 0;
  for (int i = KEPT_COUNT; i < ITEM_COUNT; ++i) gone[i - KEPT_COUNT] = keys[i];
  CHECK_OK(vsearch_catalog_remove(shop, gone, ITEM_COUNT - KEPT_COUNT, &removed, &error));
  CHECK(removed == ITEM_COUNT - KEPT_COUNT);
}

static uint64_t item_count(const vsearch_catalog* shop) {
  vsearch_catalog_info info = {.struct_size = sizeof info};
  CHECK_OK(vsearch_catalog_get_info(shop, &info, &error));
  return info.items;
}

static void test_check(const vsearch_catalog* shop) {
  vsearch_check_report* report = NULL;
  CHECK_OK(vsearch_catalog_check(shop, NULL, &report, &error));
  for (size_t i = 0; i < vsearch_check_report_fault_count(report); ++i) {
    fprintf(stderr, "a fault: %s\n", vsearch_check_report_fault(report, i));
  }
  CHECK(vsearch_check_report_fault_count(report) == 0);
  CHECK(vsearch_check_report_fault(report, 0) == NULL);
  const vsearch_check_numbers* numbers = vsearch_check_report_numbers(report);
  CHECK(numbers->items == ITEM_COUNT && numbers->pictures == ITEM_COUNT);
  CHECK(numbers->without_embedding == 0 && numbers->orphans == 0);
  CHECK(numbers->index_missing == 0 && numbers->index_extra == 0 && numbers->index_differs == 0);
  CHECK(numbers->index_size == ITEM_COUNT && numbers->removed_share == 0);
  uint64_t vectors = 0;
  for (size_t i = 0; i < numbers->degree_count; ++i) vectors += numbers->degrees[i];
  CHECK(vectors == ITEM_COUNT);
  CHECK(numbers->least_degree <= numbers->most_degree && numbers->mean_degree > 1);
  CHECK(numbers->mean_dim == STAND_IN_DIM && numbers->mean[0] > -1 && numbers->mean[0] < 1);
  CHECK(numbers->spread > 0 && numbers->sampled == 200 && numbers->lost == 0);
  CHECK(numbers->self_recall >= 0.9 && numbers->self_recall <= 1);
  CHECK(numbers->distances_per_query > 1);
  vsearch_check_report_free(report);

  /* More than can be found is a fault in any case. */
  vsearch_check_options strict = {
      .struct_size = sizeof strict, .sample = 50, .k = 5, .breadth = 10, .min_self_recall = 1.5};
  CHECK_OK(vsearch_catalog_check(shop, &strict, &report, &error));
  CHECK(vsearch_check_report_numbers(report)->sampled == 50);
  CHECK(vsearch_check_report_fault_count(report) == 1);
  CHECK(vsearch_check_report_fault(report, 0) != NULL &&
        strstr(vsearch_check_report_fault(report, 0), "150.0 %") != NULL);
  vsearch_check_report_free(report);

  strict.progress = stop_progress;
  CHECK_FAILS(vsearch_catalog_check(shop, &strict, &report, &error), VSEARCH_CANCELLED, "");
  CHECK(report == NULL);
  strict.struct_size = 0;
  CHECK_FAILS(vsearch_catalog_check(shop, &strict, &report, &error), VSEARCH_INVALID_ARGUMENT,
              "options.struct_size is 0");
}

static void test_backup(const vsearch_catalog* shop) {
  const char* path = temp_path("copy.vsearch");
  int calls = 0;
  const vsearch_work_options stop = {.struct_size = sizeof stop, .progress = stop_progress};
  const vsearch_work_options count = {
      .struct_size = sizeof count, .progress = count_progress, .progress_user = &calls};
  vsearch_catalog* copy = NULL;
  CHECK_FAILS(vsearch_catalog_backup(shop, path, &stop, &error), VSEARCH_CANCELLED, "");
  CHECK_FAILS(vsearch_catalog_open(path, NULL, &copy, &error), VSEARCH_FILE_NOT_FOUND, path);
  CHECK_OK(vsearch_catalog_backup(shop, path, &count, &error));
  CHECK(calls > 0);
  CHECK_FAILS(vsearch_catalog_backup(shop, path, NULL, &error), VSEARCH_ALREADY_EXISTS, path);
  CHECK_FAILS(vsearch_catalog_backup(shop, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "path is NULL");
  CHECK_OK(vsearch_catalog_open(path, NULL, &copy, &error));
  CHECK(item_count(copy) == ITEM_COUNT);
  vsearch_catalog_free(copy);
}

static void test_export_and_import(const vsearch_catalog* shop) {
  const char* path = temp_path("exported");
  vsearch_export_report written = {.struct_size = sizeof written};
  CHECK_OK(vsearch_catalog_export(shop, path, NULL, &written, &error));
  CHECK(written.struct_size == sizeof written);
  CHECK(written.items == ITEM_COUNT && written.pictures == ITEM_COUNT);
  CHECK_FAILS(vsearch_catalog_export(shop, path, NULL, NULL, &error), VSEARCH_ALREADY_EXISTS, path);
  vsearch_export_report older = {.struct_size = offsetof(vsearch_export_report, pictures),
                                 .pictures = 99};
  CHECK_OK(vsearch_catalog_export(shop, temp_path("again"), NULL, &older, &error));
  CHECK(older.items == ITEM_COUNT && older.pictures == 99); /* behind its end: must stay */
  older.struct_size = 0;
  CHECK_FAILS(vsearch_catalog_export(shop, temp_path("thrice"), NULL, &older, &error),
              VSEARCH_INVALID_ARGUMENT, "report.struct_size is 0");

  vsearch_catalog* other = make_catalog("imported.vsearch", NULL);
  const vsearch_work_options stop = {.struct_size = sizeof stop, .progress = stop_progress};
  vsearch_add_report* report = (vsearch_add_report*)&error;
  CHECK_FAILS(vsearch_catalog_import(other, path, &stop, &report, &error), VSEARCH_CANCELLED, "");
  CHECK(report == NULL);
  CHECK_OK(vsearch_catalog_import(other, path, NULL, &report, &error));
  CHECK(vsearch_add_report_added(report) + vsearch_add_report_replaced(report) == ITEM_COUNT);
  CHECK(vsearch_add_report_failure_count(report) == 0);
  vsearch_add_report_free(report);
  vsearch_item_record* record = NULL;
  CHECK_OK(vsearch_catalog_get(other, keys[7], &record, &error));
  CHECK(strstr(vsearch_item_record_metadata(record), "\"red\"") != NULL);
  const vsearch_picture_info* picture = vsearch_item_record_picture(record, 0);
  CHECK(picture != NULL && strcmp(picture->role, "front") == 0);
  vsearch_item_record_free(record);
  CHECK_FAILS(vsearch_catalog_import(other, temp_path("nowhere"), NULL, &report, &error),
              VSEARCH_FILE_NOT_FOUND, "nowhere");
  vsearch_catalog_free(other);
}

static void test_compact(vsearch_catalog* shop) {
  const vsearch_work_options stop = {.struct_size = sizeof stop, .progress = stop_progress};
  vsearch_compact_report report = {.struct_size = 0};
  CHECK_OK(vsearch_catalog_save_snapshot(shop, &error)); /* it counts, too */
  remove_most(shop);
  CHECK_FAILS(vsearch_catalog_compact(shop, NULL, &report, &error), VSEARCH_INVALID_ARGUMENT,
              "report.struct_size is 0");
  report.struct_size = sizeof report;
  CHECK_FAILS(vsearch_catalog_compact(shop, &stop, &report, &error), VSEARCH_CANCELLED, "");
  CHECK_OK(vsearch_catalog_compact(shop, NULL, &report, &error));
  CHECK(report.bytes_before > 0 && report.bytes_after > 0);
  CHECK(report.bytes_after < report.bytes_before);
  CHECK_OK(vsearch_catalog_compact(shop, NULL, &report, &error));
  CHECK(report.index_rebuilt == 0);
  CHECK_OK(vsearch_catalog_compact(shop, NULL, NULL, &error));
  CHECK(item_count(shop) == KEPT_COUNT);
}

int main(void) {
  vsearch_catalog* shop = make_catalog("shop.vsearch", NULL);
  fill(shop);
  test_check(shop);
  test_backup(shop);
  test_export_and_import(shop);
  test_compact(shop);
  vsearch_catalog_free(shop);
  return test_result();
}
