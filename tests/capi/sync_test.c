/* A catalogue is kept in step with folders, manifests and databases; near-duplicates are found. */
#define _XOPEN_SOURCE 700
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

static const char* photos;

static void photo_path(const char* name, char* path, size_t capacity) {
  snprintf(path, capacity, "%s/%s", photos, name);
}

static void put_photo(int which, const char* name) {
  char path[4096];
  photo_path(name, path, sizeof path);
  write_bmp(which, path);
}

static void drop_photo(const char* name) {
  char path[4096];
  photo_path(name, path, sizeof path);
  CHECK(unlink(path) == 0);
}

static vsearch_source folder_source(void) {
  const vsearch_source source = {.struct_size = sizeof source, .paths = &photos, .path_count = 1};
  return source;
}

/* "0 a.bmp, 2 b.bmp from c.bmp": the actions by their numbers. */
static const char* told(const vsearch_sync_report* report) {
  static char text[4096];
  text[0] = '\0';
  for (size_t i = 0; i < vsearch_sync_report_change_count(report); ++i) {
    const vsearch_sync_change* change = vsearch_sync_report_change(report, i);
    const size_t length = strlen(text);
    snprintf(text + length, sizeof text - length, "%s%d %s%s%s", i > 0 ? ", " : "",
             (int)change->action, change->key, change->other[0] != '\0' ? " from " : "",
             change->other);
  }
  return text;
}

static void check_sync(vsearch_catalog* shop, const vsearch_source* source,
                       const vsearch_sync_options* options, const char* changes, uint64_t unchanged,
                       uint64_t encoded) {
  vsearch_sync_report* report = NULL;
  CHECK_OK(vsearch_catalog_sync(shop, source, options, &report, &error));
  if (strcmp(told(report), changes) != 0) {
    fprintf(stderr, "expected \"%s\", got \"%s\"\n", changes, told(report));
  }
  CHECK(strcmp(told(report), changes) == 0);
  CHECK(vsearch_sync_report_unchanged(report) == unchanged);
  CHECK(vsearch_sync_report_encoded(report) == encoded);
  CHECK(vsearch_sync_report_change(report, vsearch_sync_report_change_count(report)) == NULL);
  CHECK(vsearch_sync_report_failure_count(report) == 0);
  CHECK(vsearch_sync_report_failure(report, 0) == NULL);
  CHECK(vsearch_sync_report_problem_count(report) == 0);
  CHECK(vsearch_sync_report_problem(report, 0) == NULL);
  vsearch_sync_report_free(report);
}

/* ---- Folders ---- */

static void test_folder(vsearch_catalog* shop) {
  vsearch_source source = folder_source();
  int calls = 0;
  vsearch_sync_options options = {
      .struct_size = sizeof options, .progress = count_progress, .progress_user = &calls};
  put_photo(0, "a.bmp");
  put_photo(1, "b.bmp");
  put_photo(2, "c.bmp");

  options.dry_run = 1;
  check_sync(shop, &source, &options, "0 a.bmp, 0 b.bmp, 0 c.bmp", 0, 0);
  options.dry_run = 0;
  calls = 0;
  check_sync(shop, &source, &options, "0 a.bmp, 0 b.bmp, 0 c.bmp", 0, 3);
  CHECK(calls > 0);
  check_sync(shop, &source, NULL, "", 3, 0);

  drop_photo("a.bmp");
  put_photo(0, "z.bmp");
  check_sync(shop, &source, NULL, "2 z.bmp from a.bmp", 2, 0);

  drop_photo("z.bmp");
  vsearch_sync_report* report = (vsearch_sync_report*)&error;
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, NULL, &report, &error), VSEARCH_REFUSED, "1");
  CHECK(report == NULL);
  const vsearch_sync_options keep = {.struct_size = sizeof keep, .keep_missing = 1};
  check_sync(shop, &source, &keep, "", 2, 0);
  const vsearch_sync_options remove = {.struct_size = sizeof remove, .max_removed_share = 0.5};
  check_sync(shop, &source, &remove, "4 z.bmp", 2, 0);

  source.key_rule = VSEARCH_KEY_STEM;
  const vsearch_sync_options prefix = {.struct_size = sizeof prefix, .key_prefix = "stem/"};
  check_sync(shop, &source, &prefix, "0 stem/b, 0 stem/c", 0, 0); /* the same pictures */
  const char* const keys[] = {"stem/b", "stem/c"};
  CHECK_OK(vsearch_catalog_remove(shop, keys, 2, NULL, &error));
}

static void test_bad_picture(vsearch_catalog* shop) {
  const vsearch_source source = folder_source();
  char path[4096];
  photo_path("bad.bmp", path, sizeof path);
  write_file(path, "this is no picture", 18);
  vsearch_sync_report* report = NULL;
  CHECK_OK(vsearch_catalog_sync(shop, &source, NULL, &report, &error));
  CHECK(vsearch_sync_report_listed(report) == 3);
  CHECK(vsearch_sync_report_failure_count(report) == 1);
  const vsearch_add_failure* failure = vsearch_sync_report_failure(report, 0);
  CHECK(failure != NULL && failure->status == VSEARCH_BAD_IMAGE);
  CHECK(failure != NULL && strcmp(failure->key, "bad.bmp") == 0);
  CHECK(failure != NULL && strcmp(failure->path, path) == 0 && strlen(failure->message) > 0);
  vsearch_sync_report_free(report);
  CHECK(unlink(path) == 0);
}

static void test_duplicates(vsearch_catalog* shop) {
  vsearch_source source = folder_source();
  put_photo(1, "copy.bmp");
  vsearch_sync_options options = {.struct_size = sizeof options,
                                  .duplicates = VSEARCH_DUPLICATES_SKIP};
  check_sync(shop, &source, &options, "5 copy.bmp from b.bmp", 2, 0);
  options.duplicates = VSEARCH_DUPLICATES_LINK;
  check_sync(shop, &source, &options, "0 copy.bmp", 2, 0);
  vsearch_item_record* record = NULL;
  CHECK_OK(vsearch_catalog_get(shop, "copy.bmp", &record, &error));
  CHECK(strstr(vsearch_item_record_metadata(record), "\"duplicate_of\"") != NULL);
  vsearch_item_record_free(record);

  vsearch_duplicate_groups* groups = NULL;
  CHECK_OK(vsearch_catalog_near_duplicates(shop, NULL, &groups, &error));
  CHECK(vsearch_duplicate_groups_count(groups) == 1);
  const vsearch_duplicate_group* group = vsearch_duplicate_groups_at(groups, 0);
  if (group != NULL) {
    CHECK(group->key_count == 2);
    CHECK(strcmp(group->keys[0], "b.bmp") == 0 && strcmp(group->keys[1], "copy.bmp") == 0);
    CHECK(strcmp(group->first, "b.bmp") == 0);
    CHECK(group->same_content == 1 && group->max_distance < 1e-4F);
  }
  CHECK(vsearch_duplicate_groups_at(groups, 1) == NULL);
  vsearch_duplicate_groups_free(groups);

  vsearch_duplicate_options wide = {.struct_size = sizeof wide, .max_distance = 2};
  CHECK_OK(vsearch_catalog_near_duplicates(shop, &wide, &groups, &error));
  group = vsearch_duplicate_groups_at(groups, 0);
  CHECK(group != NULL && group->key_count == 3 && group->same_content == 0);
  vsearch_duplicate_groups_free(groups);
  wide.progress = stop_progress;
  CHECK_FAILS(vsearch_catalog_near_duplicates(shop, &wide, &groups, &error), VSEARCH_CANCELLED, "");
  CHECK(groups == NULL);
  drop_photo("copy.bmp");
  const vsearch_sync_options remove = {.struct_size = sizeof remove, .max_removed_share = 1};
  check_sync(shop, &source, &remove, "4 copy.bmp", 2, 0);
}

/* ---- Tables ---- */

static void test_manifest(vsearch_catalog* shop) {
  const char* file = temp_path("items.csv");
  const char* rows =
      "sku,path,role,colour\n"
      "m1,photos/b.bmp,front,red\n"
      "m1,photos/c.bmp,back,red\n";
  write_file(file, rows, strlen(rows));
  vsearch_source source = {.struct_size = sizeof source,
                           .kind = VSEARCH_SOURCE_MANIFEST,
                           .file = file,
                           .key_column = "sku"};
  const vsearch_sync_options options = {.struct_size = sizeof options, .key_prefix = "m"};
  check_sync(shop, &source, &options, "0 mm1", 0, 0);
  vsearch_item_record* record = NULL;
  CHECK_OK(vsearch_catalog_get(shop, "mm1", &record, &error));
  CHECK(vsearch_item_record_picture_count(record) == 2);
  const vsearch_picture_info* second = vsearch_item_record_picture(record, 1);
  CHECK(second != NULL && strcmp(second->role, "back") == 0);
  CHECK(strstr(vsearch_item_record_metadata(record), "\"red\"") != NULL);
  vsearch_item_record_free(record);

  source.key_column = NULL; /* "key", which this table lacks */
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, &options, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "items.csv");
  source.file = NULL;
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, &options, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "source.file is NULL");
}

static void test_sql(vsearch_catalog* shop) {
  const char* file = temp_path("shop.db");
  sqlite3* database = NULL;
  CHECK(sqlite3_open(file, &database) == SQLITE_OK);
  CHECK(sqlite3_exec(database,
                     "CREATE TABLE products (key TEXT, path TEXT, price REAL);"
                     "INSERT INTO products VALUES ('s1', 'photos/b.bmp', 9.5);"
                     "INSERT INTO products VALUES ('s2', 'photos/c.bmp', 99);",
                     NULL, NULL, NULL) == SQLITE_OK);
  CHECK(sqlite3_close(database) == SQLITE_OK);
  vsearch_source source = {.struct_size = sizeof source,
                           .kind = VSEARCH_SOURCE_SQL,
                           .file = file,
                           .query = "SELECT * FROM products WHERE price < 50"};
  const vsearch_sync_options options = {.struct_size = sizeof options, .key_prefix = "sql/"};
  check_sync(shop, &source, &options, "0 sql/s1", 0, 0);
  source.query = "DELETE FROM products";
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, &options, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "SELECT");
  source.query = NULL;
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, &options, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "source.query is NULL");
}

/* What is known of pictures in a folder, and the other ways to name one. */
static void test_described_folder(vsearch_catalog* shop) {
  const char* file = temp_path("about.jsonl");
  const char* rows =
      "{\"id\": \"one\", \"path\": \"b.bmp\", \"colour\": \"green\"}\n"
      "{\"id\": \"two\", \"path\": \"c.bmp\"}\n";
  write_file(file, rows, strlen(rows));
  vsearch_source source = folder_source();
  source.metadata = file;
  source.key_column = "id";
  const vsearch_sync_options options = {.struct_size = sizeof options, .key_prefix = "d/"};
  check_sync(shop, &source, &options, "0 d/one, 0 d/two", 0, 0);
}

/* ---- What makes no sense ---- */

static void test_bad_arguments(vsearch_catalog* shop) {
  vsearch_source source = folder_source();
  vsearch_sync_options options = {.struct_size = sizeof options, .progress = stop_progress};
  const char* const holes[] = {NULL};

  put_photo(3, "new.bmp");
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, &options, NULL, &error), VSEARCH_CANCELLED, "");
  drop_photo("new.bmp");

  options.progress = NULL;
  options.duplicates = 3;
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, &options, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "options.duplicates is 3: set it to one of VSEARCH_DUPLICATES_");
  options.duplicates = 0;
  options.max_removed_share = 2;
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, &options, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "max_removed_share is 2");
  options.struct_size = 0;
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, &options, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "options.struct_size is 0");

  source.key_rule = -1;
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "source.key_rule is -1: set it to one of VSEARCH_KEY_");
  source.key_rule = VSEARCH_KEY_PATH;
  source.kind = 3;
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "source.kind is 3: set it to one of VSEARCH_SOURCE_");
  source.kind = VSEARCH_SOURCE_FILES;
  source.paths = holes;
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "source.paths[0] is NULL");
  source.paths = NULL;
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "source.paths is NULL");
  source.struct_size = sizeof source.struct_size;
  CHECK_FAILS(vsearch_catalog_sync(shop, &source, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "source.struct_size is 8");
  CHECK_FAILS(vsearch_catalog_sync(shop, NULL, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "source is NULL");

  source = folder_source();
  source.kind = VSEARCH_SOURCE_MANIFEST;
  source.file = "items.csv";
  CHECK_FAILS(vsearch_catalog_watch(shop, &source, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "only folders can be watched");
  CHECK_FAILS(vsearch_catalog_watch(NULL, &source, NULL, NULL, &error), VSEARCH_INVALID_ARGUMENT,
              "catalog is NULL");
}

/* ---- Watching ---- */

struct watched {
  int reports;
  int troubles;
  int idle_calls;
};

/* First a picture comes, then most go, which is refused, then they are back. */
static int on_report(void* user, const vsearch_sync_report* report) {
  struct watched* watched = user;
  ++watched->reports;
  if (watched->reports == 1) {
    CHECK(strcmp(told(report), "") == 0);
    put_photo(3, "new.bmp");
    return 0;
  }
  if (watched->reports == 2) {
    CHECK(strcmp(told(report), "0 new.bmp") == 0);
    CHECK(vsearch_sync_report_encoded(report) == 1);
    drop_photo("b.bmp");
    drop_photo("new.bmp");
    return 0;
  }
  CHECK(strcmp(told(report), "4 new.bmp") == 0);
  return 1;
}

static void on_trouble(void* user, const vsearch_error* trouble) {
  struct watched* watched = user;
  ++watched->troubles;
  CHECK(trouble->status == VSEARCH_REFUSED && strlen(trouble->message) > 0);
  put_photo(1, "b.bmp");
}

static int give_up_after_a_minute(void* user, uint64_t done, uint64_t total) {
  (void)done;
  (void)total;
  return ++((struct watched*)user)->idle_calls > 600;
}

static int stop_when_idle(void* user, uint64_t done, uint64_t total) {
  (void)user;
  return done == 0 && total == 0;
}

static void test_watch(vsearch_catalog* shop) {
  const vsearch_source source = folder_source();
  struct watched watched = {0, 0, 0};
  const vsearch_sync_options options = {.struct_size = sizeof options,
                                        .max_removed_share = 0.4,
                                        .progress = give_up_after_a_minute,
                                        .progress_user = &watched};
  const vsearch_watch_options how = {.struct_size = sizeof how,
                                     .quiet_ms = 50,
                                     .report = on_report,
                                     .trouble = on_trouble,
                                     .user = &watched};
  CHECK_OK(vsearch_catalog_watch(shop, &source, &options, &how, &error));
  CHECK(watched.reports == 3);
  CHECK(watched.troubles == 1);

  const vsearch_sync_options stop = {.struct_size = sizeof stop, .progress = stop_when_idle};
  CHECK_OK(vsearch_catalog_watch(shop, &source, &stop, NULL, &error));
}

int main(void) {
  photos = temp_path("photos");
  CHECK(mkdir(photos, 0700) == 0);
  vsearch_catalog* shop = make_catalog("shop.vsearch", NULL);
  test_folder(shop);
  test_bad_picture(shop);
  test_duplicates(shop);
  test_bad_arguments(shop);
  test_watch(shop);
  vsearch_catalog_free(shop);
  shop = make_catalog("tables.vsearch", NULL);
  const vsearch_source source = folder_source();
  const vsearch_sync_options options = {.struct_size = sizeof options, .key_prefix = "f/"};
  check_sync(shop, &source, &options, "0 f/b.bmp, 0 f/c.bmp", 0, 2);
  test_manifest(shop);
  test_sql(shop);
  test_described_folder(shop);
  vsearch_catalog_free(shop);
  return test_result();
}
