#define _XOPEN_SOURCE 700
#include "support.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PATHS = 64, BMP_HEADER_BYTES = 54 };

vsearch_error error;

static int failed_checks = 0;
static char folder[] = "/tmp/vsearch-capi-XXXXXX";
static char* paths[MAX_PATHS];
static int path_count = 0;

void check_that(int holds, const char* condition, const char* file, int line) {
  if (holds) return;
  ++failed_checks;
  fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
}

void check_ok(vsearch_status status, const char* call, const char* file, int line) {
  if (status == VSEARCH_OK && error.status == VSEARCH_OK && error.message[0] == '\0') return;
  ++failed_checks;
  fprintf(stderr, "%s:%d: failed: %s\n  %s: %s\n", file, line, call, vsearch_status_name(status),
          error.message);
}

void check_fails(vsearch_status actual, vsearch_status expected, const char* text, const char* call,
                 const char* file, int line) {
  if (actual == expected && error.status == expected && strstr(error.message, text) != NULL) return;
  ++failed_checks;
  fprintf(stderr, "%s:%d: %s\n  expected %s with \"%s\"\n  got      %s: %s\n", file, line, call,
          vsearch_status_name(expected), text, vsearch_status_name(actual), error.message);
}

int test_result(void) {
  if (failed_checks > 0) fprintf(stderr, "%d checks failed\n", failed_checks);
  return failed_checks > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void give_up(const char* what) {
  perror(what);
  exit(EXIT_FAILURE);
}

static int remove_entry(const char* path, const struct stat* status, int kind, struct FTW* walk) {
  (void)status;
  (void)kind;
  (void)walk;
  return remove(path);
}

static void remove_folder(void) {
  nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  while (path_count > 0) free(paths[--path_count]);
}

const char* temp_path(const char* name) {
  if (path_count == 0) {
    if (mkdtemp(folder) == NULL) give_up(folder);
    atexit(remove_folder);
  }
  if (path_count == MAX_PATHS) give_up("temp_path: more than MAX_PATHS");
  const size_t length = strlen(folder) + 1 + strlen(name) + 1;
  char* path = malloc(length);
  if (path == NULL) give_up("malloc");
  snprintf(path, length, "%s/%s", folder, name);
  paths[path_count++] = path;
  return path;
}

void write_file(const char* path, const void* bytes, size_t length) {
  FILE* file = fopen(path, "wb");
  if (file == NULL || fwrite(bytes, 1, length, file) != length || fclose(file) != 0) give_up(path);
}

void* read_file(const char* path, size_t* length) {
  FILE* file = fopen(path, "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) give_up(path);
  const long end = ftell(file);
  void* bytes = malloc((size_t)end + 1);
  if (bytes == NULL) give_up("malloc");
  rewind(file);
  if (fread(bytes, 1, (size_t)end, file) != (size_t)end || fclose(file) != 0) give_up(path);
  *length = (size_t)end;
  return bytes;
}

const char* picture_name(int which) {
  static const char* const names[PICTURE_COUNT] = {"stripes", "checks", "disc", "ramp"};
  return names[which];
}

void fill_picture(int which, uint8_t* rgb) {
  static const uint8_t colours[PICTURE_COUNT][2][3] = {{{200, 30, 30}, {250, 240, 230}},
                                                       {{20, 120, 40}, {10, 20, 15}},
                                                       {{40, 60, 220}, {230, 230, 90}},
                                                       {{0, 0, 0}, {240, 200, 255}}};
  for (int y = 0; y < PICTURE_SIDE_PX; ++y) {
    for (int x = 0; x < PICTURE_SIDE_PX; ++x) {
      const int dx = x - PICTURE_SIDE_PX / 2;
      const int dy = y - PICTURE_SIDE_PX / 2;
      const int weights[PICTURE_COUNT] = {y / 12 % 2 * 255, (x / 24 + y / 24) % 2 * 255,
                                          dx * dx + dy * dy < 1200 ? 255 : 0,
                                          x * 255 / (PICTURE_SIDE_PX - 1)};
      const int weight = weights[which];
      for (int c = 0; c < 3; ++c) {
        const int from = colours[which][0][c];
        const int to = colours[which][1][c];
        rgb[(y * PICTURE_SIDE_PX + x) * 3 + c] = (uint8_t)(from + (to - from) * weight / 255);
      }
    }
  }
}

static void put_le32(uint8_t* to, uint32_t value) {
  for (int i = 0; i < 4; ++i) to[i] = (uint8_t)(value >> (8 * i));
}

void write_bmp(int which, const char* path) {
  uint8_t rgb[PICTURE_SIDE_PX * PICTURE_SIDE_PX * 3];
  uint8_t file[BMP_HEADER_BYTES + sizeof rgb] = {'B', 'M'};
  put_le32(file + 2, sizeof file);
  put_le32(file + 10, BMP_HEADER_BYTES);
  put_le32(file + 14, 40); /* of the information header */
  put_le32(file + 18, PICTURE_SIDE_PX);
  put_le32(file + 22, PICTURE_SIDE_PX);
  file[26] = 1;  /* planes */
  file[28] = 24; /* bits per pixel */
  fill_picture(which, rgb);
  for (int y = 0; y < PICTURE_SIDE_PX; ++y) { /* the bottom row first, blue first */
    uint8_t* row = file + BMP_HEADER_BYTES + (PICTURE_SIDE_PX - 1 - y) * PICTURE_SIDE_PX * 3;
    for (int x = 0; x < PICTURE_SIDE_PX * 3; ++x) {
      row[x] = rgb[y * PICTURE_SIDE_PX * 3 + x / 3 * 3 + 2 - x % 3];
    }
  }
  write_file(path, file, sizeof file);
}

const char* stand_in(const char* name) {
  const char* path = temp_path(name);
  write_file(path, "", 0);
  return path;
}

vsearch_catalog* make_catalog(const char* name, const vsearch_catalog_options* options) {
  vsearch_catalog_options wanted = {.struct_size = sizeof wanted};
  vsearch_catalog* catalog = NULL;
  if (options != NULL) wanted = *options;
  if (wanted.encoder == NULL) wanted.encoder = stand_in("grid.vsm.pt");
  CHECK_OK(vsearch_catalog_create(temp_path(name), &wanted, &catalog, &error));
  if (catalog == NULL) exit(test_result());
  return catalog;
}

void add_file(vsearch_catalog* catalog, const char* key, const char* path) {
  const vsearch_picture picture = {.struct_size = sizeof picture, .path = path};
  const vsearch_item item = {
      .struct_size = sizeof item, .key = key, .pictures = &picture, .picture_count = 1};
  vsearch_add_report* report = NULL;
  CHECK_OK(vsearch_catalog_add(catalog, &item, 1, NULL, &report, &error));
  CHECK(vsearch_add_report_failure_count(report) == 0);
  vsearch_add_report_free(report);
}

int count_progress(void* user, uint64_t done, uint64_t total) {
  (void)done;
  (void)total;
  ++*(int*)user;
  return 0;
}

int stop_progress(void* user, uint64_t done, uint64_t total) {
  (void)user;
  (void)done;
  (void)total;
  return 1;
}

int have_default_encoder(void) {
  vsearch_encoder* encoder = NULL;
  const vsearch_encoder_options quick = {.struct_size = sizeof quick, .skip_verify = 1};
  const vsearch_status status = vsearch_encoder_load(NULL, &quick, &encoder, &error);
  vsearch_encoder_free(encoder);
  if (status == VSEARCH_FILE_NOT_FOUND) printf("SKIPPED: %s\n", error.message);
  return status != VSEARCH_FILE_NOT_FOUND;
}
