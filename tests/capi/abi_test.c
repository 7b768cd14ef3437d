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
  CHECK(offsetof(vsearch_catalog_options, fetch) == 56);
  CHECK(offsetof(vsearch_catalog_options, fetch_user) == 64);
  CHECK(offsetof(vsearch_catalog_options, snapshot_changes) == 72);

  CHECK(offsetof(vsearch_catalog_info, items) == 8);
  CHECK(offsetof(vsearch_catalog_info, pictures) == 16);
  CHECK(offsetof(vsearch_catalog_info, generation) == 24);
  CHECK(offsetof(vsearch_catalog_info, disk_bytes) == 32);
  CHECK(offsetof(vsearch_catalog_info, index_memory_bytes) == 40);
  CHECK(offsetof(vsearch_catalog_info, dim) == 48);
  CHECK(offsetof(vsearch_catalog_info, metric) == 52);
  CHECK(offsetof(vsearch_catalog_info, encoder_name) == 56);
  CHECK(offsetof(vsearch_catalog_info, encoder_fingerprint) == 184);
  CHECK(offsetof(vsearch_catalog_info, snapshot_generation) == 256);

  CHECK(offsetof(vsearch_picture, path) == 8);
  CHECK(offsetof(vsearch_picture, bytes) == 16);
  CHECK(offsetof(vsearch_picture, bytes_length) == 24);
  CHECK(offsetof(vsearch_picture, embedding) == 32);
  CHECK(offsetof(vsearch_picture, embedding_dim) == 40);
  CHECK(offsetof(vsearch_picture, crop) == 48);
  CHECK(offsetof(vsearch_picture, role) == 64);
  CHECK(offsetof(vsearch_picture, keep_bytes) == 72);
  CHECK(offsetof(vsearch_picture, embedding_fingerprint) == 80);

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
  CHECK(offsetof(vsearch_query, text) == 88);

  CHECK(offsetof(vsearch_search_options, k) == 8);
  CHECK(offsetof(vsearch_search_options, breadth) == 12);
  CHECK(offsetof(vsearch_search_options, where) == 16);
  CHECK(offsetof(vsearch_search_options, exact) == 24);
  CHECK(offsetof(vsearch_search_options, where_json) == 32);

  CHECK(offsetof(vsearch_hit, score) == 8);
  CHECK(offsetof(vsearch_hit, distance) == 12);
  CHECK(offsetof(vsearch_hit, path) == 16);
  CHECK(offsetof(vsearch_hit, metadata) == 24);
  CHECK(offsetof(vsearch_hit, role) == 32);
}

/* The same of sources, editions and what is reported. */
static void test_layout_of_reports(void) {
  if (sizeof(void*) != 8) return;
  CHECK(offsetof(vsearch_work_options, progress) == 8);
  CHECK(offsetof(vsearch_work_options, progress_user) == 16);

  CHECK(offsetof(vsearch_picture_info, path) == 8);
  CHECK(offsetof(vsearch_picture_info, role) == 16);
  CHECK(offsetof(vsearch_picture_info, crop) == 24);
  CHECK(offsetof(vsearch_picture_info, content_hash) == 40);
  CHECK(offsetof(vsearch_picture_info, kept_bytes) == 48);

  CHECK(offsetof(vsearch_field, type) == 8);

  CHECK(offsetof(vsearch_source, kind) == 8);
  CHECK(offsetof(vsearch_source, key_rule) == 12);
  CHECK(offsetof(vsearch_source, paths) == 16);
  CHECK(offsetof(vsearch_source, path_count) == 24);
  CHECK(offsetof(vsearch_source, metadata) == 32);
  CHECK(offsetof(vsearch_source, file) == 40);
  CHECK(offsetof(vsearch_source, query) == 48);
  CHECK(offsetof(vsearch_source, key_column) == 56);

  CHECK(offsetof(vsearch_sync_options, progress) == 8);
  CHECK(offsetof(vsearch_sync_options, progress_user) == 16);
  CHECK(offsetof(vsearch_sync_options, dry_run) == 24);
  CHECK(offsetof(vsearch_sync_options, keep_missing) == 28);
  CHECK(offsetof(vsearch_sync_options, max_removed_share) == 32);
  CHECK(offsetof(vsearch_sync_options, key_prefix) == 40);
  CHECK(offsetof(vsearch_sync_options, duplicates) == 48);
  CHECK(offsetof(vsearch_sync_options, duplicate_distance) == 52);

  CHECK(offsetof(vsearch_sync_change, key) == 8);
  CHECK(offsetof(vsearch_sync_change, other) == 16);

  CHECK(offsetof(vsearch_watch_options, quiet_ms) == 8);
  CHECK(offsetof(vsearch_watch_options, report) == 16);
  CHECK(offsetof(vsearch_watch_options, trouble) == 24);
  CHECK(offsetof(vsearch_watch_options, user) == 32);

  CHECK(offsetof(vsearch_duplicate_options, progress) == 8);
  CHECK(offsetof(vsearch_duplicate_options, progress_user) == 16);
  CHECK(offsetof(vsearch_duplicate_options, max_distance) == 24);
  CHECK(offsetof(vsearch_duplicate_options, neighbours) == 28);

  CHECK(offsetof(vsearch_duplicate_group, key_count) == 8);
  CHECK(offsetof(vsearch_duplicate_group, first) == 16);
  CHECK(offsetof(vsearch_duplicate_group, max_distance) == 24);
  CHECK(offsetof(vsearch_duplicate_group, same_content) == 28);

  CHECK(offsetof(vsearch_edition, state) == 8);
  CHECK(offsetof(vsearch_edition, dim) == 12);
  CHECK(offsetof(vsearch_edition, metric) == 16);
  CHECK(offsetof(vsearch_edition, encoder) == 24);
  CHECK(offsetof(vsearch_edition, encoder_name) == 32);
  CHECK(offsetof(vsearch_edition, encoder_fingerprint) == 40);
  CHECK(offsetof(vsearch_edition, embeddings) == 48);

  CHECK(offsetof(vsearch_labelled_query, key) == 8);
  CHECK(offsetof(vsearch_labelled_query, path) == 16);
  CHECK(offsetof(vsearch_labelled_query, relevant) == 24);
  CHECK(offsetof(vsearch_labelled_query, relevant_count) == 32);

  CHECK(offsetof(vsearch_edition_comparison, sampled) == 4);
  CHECK(offsetof(vsearch_edition_comparison, overlap) == 8);
  CHECK(offsetof(vsearch_edition_comparison, labelled) == 16);
  CHECK(offsetof(vsearch_edition_comparison, recall_before) == 24);
  CHECK(offsetof(vsearch_edition_comparison, recall_after) == 32);

  CHECK(offsetof(vsearch_reencode_options, progress) == 8);
  CHECK(offsetof(vsearch_reencode_options, progress_user) == 16);
  CHECK(offsetof(vsearch_reencode_options, encoder_ref) == 24);
  CHECK(offsetof(vsearch_reencode_options, drop_old) == 32);
  CHECK(offsetof(vsearch_reencode_options, k) == 36);
  CHECK(offsetof(vsearch_reencode_options, sample) == 40);
  CHECK(offsetof(vsearch_reencode_options, seed) == 48);
  CHECK(offsetof(vsearch_reencode_options, queries) == 56);
  CHECK(offsetof(vsearch_reencode_options, query_count) == 64);
  CHECK(offsetof(vsearch_reencode_options, max_missing_share) == 72);
  CHECK(offsetof(vsearch_reencode_options, min_overlap) == 80);
  CHECK(offsetof(vsearch_reencode_options, has_max_recall_loss) == 88);
  CHECK(offsetof(vsearch_reencode_options, max_recall_loss) == 96);
  CHECK(offsetof(vsearch_reencode_options, gate) == 104);
  CHECK(offsetof(vsearch_reencode_options, gate_user) == 112);

  CHECK(offsetof(vsearch_missing_picture, key) == 8);
  CHECK(offsetof(vsearch_missing_picture, path) == 16);
  CHECK(offsetof(vsearch_missing_picture, message) == 24);

  CHECK(offsetof(vsearch_check_options, progress) == 8);
  CHECK(offsetof(vsearch_check_options, progress_user) == 16);
  CHECK(offsetof(vsearch_check_options, sample) == 24);
  CHECK(offsetof(vsearch_check_options, k) == 28);
  CHECK(offsetof(vsearch_check_options, breadth) == 32);
  CHECK(offsetof(vsearch_check_options, seed) == 40);
  CHECK(offsetof(vsearch_check_options, min_self_recall) == 48);

  CHECK(offsetof(vsearch_check_numbers, pictures) == 8);
  CHECK(offsetof(vsearch_check_numbers, without_embedding) == 16);
  CHECK(offsetof(vsearch_check_numbers, orphans) == 24);
  CHECK(offsetof(vsearch_check_numbers, index_missing) == 32);
  CHECK(offsetof(vsearch_check_numbers, index_extra) == 40);
  CHECK(offsetof(vsearch_check_numbers, index_differs) == 48);
  CHECK(offsetof(vsearch_check_numbers, index_size) == 56);
  CHECK(offsetof(vsearch_check_numbers, removed_share) == 64);
  CHECK(offsetof(vsearch_check_numbers, degrees) == 72);
  CHECK(offsetof(vsearch_check_numbers, degree_count) == 80);
  CHECK(offsetof(vsearch_check_numbers, least_degree) == 88);
  CHECK(offsetof(vsearch_check_numbers, most_degree) == 92);
  CHECK(offsetof(vsearch_check_numbers, mean_degree) == 96);
  CHECK(offsetof(vsearch_check_numbers, unreachable) == 104);
  CHECK(offsetof(vsearch_check_numbers, duplicates) == 112);
  CHECK(offsetof(vsearch_check_numbers, mean) == 120);
  CHECK(offsetof(vsearch_check_numbers, mean_dim) == 128);
  CHECK(offsetof(vsearch_check_numbers, spread) == 136);
  CHECK(offsetof(vsearch_check_numbers, sampled) == 144);
  CHECK(offsetof(vsearch_check_numbers, lost) == 148);
  CHECK(offsetof(vsearch_check_numbers, self_recall) == 152);
  CHECK(offsetof(vsearch_check_numbers, distances_per_query) == 160);

  CHECK(offsetof(vsearch_compact_report, bytes_before) == 8);
  CHECK(offsetof(vsearch_compact_report, bytes_after) == 16);
  CHECK(offsetof(vsearch_compact_report, index_rebuilt) == 24);

  CHECK(offsetof(vsearch_export_report, items) == 8);
  CHECK(offsetof(vsearch_export_report, pictures) == 16);

  CHECK(offsetof(vsearch_train_state, epochs) == 4);
  CHECK(offsetof(vsearch_train_state, step) == 8);
  CHECK(offsetof(vsearch_train_state, steps) == 16);
  CHECK(offsetof(vsearch_train_state, loss) == 24);
  CHECK(offsetof(vsearch_train_state, seconds_left) == 32);
}

/* Numbers that a caller may have compiled in. */
static void test_numbers(void) {
  CHECK(VSEARCH_PIXEL_RGB == 0 && VSEARCH_PIXEL_BGR == 1 && VSEARCH_PIXEL_GREY == 2);
  CHECK(VSEARCH_PIXEL_RGBA == 3 && VSEARCH_PIXEL_BGRA == 4);
  CHECK(VSEARCH_PRECISION_AUTO == 0 && VSEARCH_PRECISION_FP32 == 1 && VSEARCH_PRECISION_BF16 == 2);
  CHECK(VSEARCH_PRECISION_FP16 == 3 && VSEARCH_PRECISION_INT8 == 4);
  CHECK(VSEARCH_REFUSED == 15);
  CHECK(VSEARCH_FIELD_TEXT == 0 && VSEARCH_FIELD_NUMBER == 1 && VSEARCH_FIELD_BOOLEAN == 2);
  CHECK(VSEARCH_FIELD_TAGS == 3);
  CHECK(VSEARCH_SOURCE_FILES == 0 && VSEARCH_SOURCE_MANIFEST == 1 && VSEARCH_SOURCE_SQL == 2);
  CHECK(VSEARCH_KEY_PATH == 0 && VSEARCH_KEY_STEM == 1 && VSEARCH_KEY_NAME == 2);
  CHECK(VSEARCH_KEY_FOLDER == 3);
  CHECK(VSEARCH_DUPLICATES_KEEP == 0 && VSEARCH_DUPLICATES_SKIP == 1);
  CHECK(VSEARCH_DUPLICATES_LINK == 2);
  CHECK(VSEARCH_SYNC_ADD == 0 && VSEARCH_SYNC_REPLACE == 1 && VSEARCH_SYNC_RENAME == 2);
  CHECK(VSEARCH_SYNC_PATCH == 3 && VSEARCH_SYNC_REMOVE == 4 && VSEARCH_SYNC_DUPLICATE == 5);
  CHECK(VSEARCH_EDITION_SERVING == 0 && VSEARCH_EDITION_BUILDING == 1);
  CHECK(VSEARCH_EDITION_KEPT == 2);
}

static void test_names(void) {
  CHECK(strcmp(vsearch_version(), EXPECTED_VERSION) == 0);
  CHECK(strcmp(vsearch_status_name(VSEARCH_OK), "ok") == 0);
  CHECK(strcmp(vsearch_status_name(VSEARCH_BAD_IMAGE), "bad image") == 0);
  CHECK(strcmp(vsearch_status_name(-1), "unknown status") == 0);
  CHECK(strcmp(vsearch_status_name(VSEARCH_REFUSED + 1), "unknown status") == 0);
  for (vsearch_status status = VSEARCH_OK; status <= VSEARCH_REFUSED; ++status) {
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
  CHECK(vsearch_add_report_encoded(NULL) == 0);
  CHECK(vsearch_hits_count(NULL) == 0);
  CHECK(vsearch_hits_at(NULL, 0) == NULL);
}

/* The same of what reports on items, sources and editions, and of care. */
static void test_null_reports(void) {
  vsearch_item_record_free(NULL);
  vsearch_keys_free(NULL);
  vsearch_fields_free(NULL);
  vsearch_sync_report_free(NULL);
  vsearch_duplicate_groups_free(NULL);
  vsearch_editions_free(NULL);
  vsearch_reencode_report_free(NULL);
  vsearch_check_report_free(NULL);
  CHECK(strcmp(vsearch_item_record_key(NULL), "") == 0);
  CHECK(strcmp(vsearch_item_record_metadata(NULL), "{}") == 0);
  CHECK(vsearch_item_record_picture_count(NULL) == 0);
  CHECK(vsearch_item_record_picture(NULL, 0) == NULL);
  CHECK(vsearch_keys_count(NULL) == 0 && vsearch_keys_at(NULL, 0) == NULL);
  CHECK(vsearch_fields_count(NULL) == 0 && vsearch_fields_at(NULL, 0) == NULL);
  CHECK(vsearch_sync_report_listed(NULL) == 0);
  CHECK(vsearch_sync_report_unchanged(NULL) == 0);
  CHECK(vsearch_sync_report_encoded(NULL) == 0);
  CHECK(vsearch_sync_report_change_count(NULL) == 0);
  CHECK(vsearch_sync_report_change(NULL, 0) == NULL);
  CHECK(vsearch_sync_report_failure_count(NULL) == 0);
  CHECK(vsearch_sync_report_failure(NULL, 0) == NULL);
  CHECK(vsearch_sync_report_problem_count(NULL) == 0);
  CHECK(vsearch_sync_report_problem(NULL, 0) == NULL);
  CHECK(vsearch_duplicate_groups_count(NULL) == 0);
  CHECK(vsearch_duplicate_groups_at(NULL, 0) == NULL);
  CHECK(vsearch_editions_count(NULL) == 0 && vsearch_editions_at(NULL, 0) == NULL);
  CHECK(vsearch_reencode_report_edition(NULL) == NULL);
  CHECK(vsearch_reencode_report_switched(NULL) == 0);
  CHECK(strcmp(vsearch_reencode_report_refusal(NULL), "") == 0);
  CHECK(vsearch_reencode_report_encoded(NULL) == 0);
  CHECK(vsearch_reencode_report_reused(NULL) == 0);
  CHECK(vsearch_reencode_report_missing_count(NULL) == 0);
  CHECK(vsearch_reencode_report_missing(NULL, 0) == NULL);
  CHECK(vsearch_reencode_report_comparison(NULL) == NULL);
  CHECK(vsearch_check_report_fault_count(NULL) == 0);
  CHECK(vsearch_check_report_fault(NULL, 0) == NULL);
  CHECK(vsearch_check_report_numbers(NULL) == NULL);
}

/* Every entry says that there is no catalogue before it looks at anything else, and leaves no
 * handle. */
#define CHECK_NO_CATALOG(call) CHECK_FAILS(call, VSEARCH_INVALID_ARGUMENT, "catalog is NULL")
#define CHECK_NO_HANDLE(type, name, call) \
  do {                                    \
    type* name = (type*)&error;           \
    CHECK_NO_CATALOG(call);               \
    CHECK((name) == NULL);                \
  } while (0)

static void test_null_catalog(void) {
  CHECK_NO_HANDLE(vsearch_item_record, out, vsearch_catalog_get(NULL, NULL, &out, &error));
  CHECK_NO_HANDLE(vsearch_keys, out, vsearch_catalog_keys(NULL, &out, &error));
  CHECK_NO_HANDLE(vsearch_fields, out, vsearch_catalog_fields(NULL, &out, &error));
  CHECK_NO_HANDLE(vsearch_sync_report, out, vsearch_catalog_sync(NULL, NULL, NULL, &out, &error));
  CHECK_NO_HANDLE(vsearch_duplicate_groups, out,
                  vsearch_catalog_near_duplicates(NULL, NULL, &out, &error));
  CHECK_NO_HANDLE(vsearch_editions, out, vsearch_catalog_editions(NULL, &out, &error));
  CHECK_NO_HANDLE(vsearch_reencode_report, out,
                  vsearch_catalog_reencode(NULL, NULL, NULL, &out, &error));
  CHECK_NO_HANDLE(vsearch_reencode_report, out, vsearch_catalog_rollback(NULL, NULL, &out, &error));
  CHECK_NO_HANDLE(vsearch_check_report, out, vsearch_catalog_check(NULL, NULL, &out, &error));
  CHECK_NO_HANDLE(vsearch_add_report, out, vsearch_catalog_import(NULL, NULL, NULL, &out, &error));
  CHECK_NO_CATALOG(vsearch_catalog_patch(NULL, NULL, 0, NULL, &error));
  CHECK_NO_CATALOG(vsearch_catalog_for_each(NULL, NULL, NULL, &error));
  CHECK_NO_CATALOG(vsearch_catalog_declare_field(NULL, NULL, 0, &error));
  CHECK_NO_CATALOG(vsearch_catalog_drop_field(NULL, NULL, &error));
  CHECK_NO_CATALOG(vsearch_catalog_watch(NULL, NULL, NULL, NULL, &error));
  CHECK_NO_CATALOG(vsearch_catalog_drop_edition(NULL, 1, &error));
  CHECK_NO_CATALOG(vsearch_catalog_compact(NULL, NULL, NULL, &error));
  CHECK_NO_CATALOG(vsearch_catalog_backup(NULL, NULL, NULL, &error));
  CHECK_NO_CATALOG(vsearch_catalog_export(NULL, NULL, NULL, NULL, &error));
  CHECK_NO_CATALOG(vsearch_catalog_save_snapshot(NULL, &error));
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
  test_layout_of_reports();
  test_numbers();
  test_names();
  test_null_handles();
  test_null_reports();
  test_null_catalog();
  test_null_arguments();
  test_struct_sizes();
  test_precision();
  test_missing_catalog();
  test_long_message();
  return test_result();
}
