/* Encoders and catalogues are measured, and what was measured comes as JSON. */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support.h"

enum { COPIES = 3 };

/* A folder of classes: a class a picture, of which each copy differs in a byte of its last rows. */
static const char* make_classes(void) {
  const char* root = temp_path("classes");
  mkdir(root, 0700);
  for (int i = 0; i < PICTURE_COUNT; ++i) {
    char name[64];
    snprintf(name, sizeof name, "classes/%s", picture_name(i));
    mkdir(temp_path(name), 0700);
    snprintf(name, sizeof name, "classes/%s/0.bmp", picture_name(i));
    const char* first = temp_path(name);
    write_bmp(i, first);
    size_t length = 0;
    uint8_t* file = read_file(first, &length);
    for (int copy = 1; copy < COPIES; ++copy) {
      snprintf(name, sizeof name, "classes/%s/%d.bmp", picture_name(i), copy);
      file[length - 1] ^= (uint8_t)copy;
      write_file(temp_path(name), file, length);
    }
    free(file);
  }
  return root;
}

static void check_has(const vsearch_text* json, const char* text) {
  CHECK(vsearch_text_data(json) != NULL && strstr(vsearch_text_data(json), text) != NULL);
}

static void test_encoder(const vsearch_encoder* encoder, const char* root) {
  vsearch_text* json = NULL;
  CHECK_OK(vsearch_evaluate(encoder, "folder", root, NULL, &json, &error));
  CHECK(vsearch_text_size(json) == strlen(vsearch_text_data(json)));
  check_has(json, "\"mAP\"");
  check_has(json, "\"queries\": 12");
  CHECK(strstr(vsearch_text_data(json), "each_query") == NULL);
  vsearch_text_free(json);

  int calls = 0;
  const char* page = temp_path("report.html");
  const vsearch_evaluate_options options = {.struct_size = sizeof options,
                                            .progress = count_progress,
                                            .progress_user = &calls,
                                            .rerank = "qe:2",
                                            .cache = temp_path("cache"),
                                            .html = page,
                                            .bootstrap = 100,
                                            .every_query = 1};
  CHECK_OK(vsearch_evaluate(encoder, NULL, root, &options, &json, &error));
  CHECK(calls > 0);
  check_has(json, "each_query");
  check_has(json, "\"rerank\": \"qe:2");
  vsearch_text_free(json);
  size_t length = 0;
  char* text = read_file(page, &length);
  CHECK(length > 1000 && strncmp(text, "<!", 2) == 0);
  free(text);

  CHECK_FAILS(vsearch_evaluate(NULL, "folder", root, NULL, &json, &error), VSEARCH_INVALID_ARGUMENT,
              "encoder");
  CHECK(json == NULL);
  CHECK_FAILS(vsearch_evaluate(encoder, "no-such", root, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "gpr1200");
  CHECK_FAILS(vsearch_evaluate(encoder, "folder", temp_path("nowhere"), NULL, &json, &error),
              VSEARCH_FILE_NOT_FOUND, "nowhere");
  const char* const protocols[] = {"no-such"};
  const vsearch_evaluate_options wrong = {
      .struct_size = sizeof wrong, .protocols = protocols, .protocol_count = 1};
  CHECK_FAILS(vsearch_evaluate(encoder, "folder", root, &wrong, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "no-such");
  const vsearch_evaluate_options stopped = {.struct_size = sizeof stopped,
                                            .progress = stop_progress};
  CHECK_FAILS(vsearch_evaluate(encoder, "folder", root, &stopped, &json, &error), VSEARCH_CANCELLED,
              "");
}

static void test_catalog(void) {
  vsearch_catalog* shop = make_catalog("shop.vsearch", NULL);
  for (int i = 0; i < PICTURE_COUNT; ++i) {
    char name[64];
    for (int copy = 0; copy < 2; ++copy) {
      snprintf(name, sizeof name, "classes/%s/%d.bmp", picture_name(i), copy);
      const char* path = temp_path(name);
      snprintf(name, sizeof name, "%s %d", picture_name(i), copy);
      add_file(shop, name, path);
    }
  }
  const char* queries = temp_path("known.csv");
  char rows[256];
  snprintf(rows, sizeof rows, "key,relevant\n%s 0,%s 1\n%s 0,%s 1\n", picture_name(0),
           picture_name(0), picture_name(1), picture_name(1));
  write_file(queries, rows, strlen(rows));
  vsearch_text* json = NULL;
  CHECK_OK(vsearch_catalog_evaluate(shop, queries, NULL, &json, &error));
  check_has(json, "\"queries\": 2");
  check_has(json, "\"exact_metrics\"");
  vsearch_text_free(json);
  CHECK_FAILS(vsearch_catalog_evaluate(shop, temp_path("no.csv"), NULL, &json, &error),
              VSEARCH_FILE_NOT_FOUND, "no.csv");
  vsearch_catalog_free(shop);
}

static void test_audit(const vsearch_encoder* encoder, const char* root) {
  const char* const only[] = {"collapse"};
  const vsearch_audit_options options = {
      .struct_size = sizeof options, .only = only, .only_count = 1, .sample = 8};
  vsearch_text* json = NULL;
  CHECK_OK(vsearch_audit(encoder, "folder", root, &options, &json, &error));
  check_has(json, "\"collapse\"");
  check_has(json, "\"verdict\"");
  vsearch_text_free(json);
  const char* const unknown[] = {"everything"};
  const vsearch_audit_options wrong = {
      .struct_size = sizeof wrong, .only = unknown, .only_count = 1};
  CHECK_FAILS(vsearch_audit(encoder, "folder", root, &wrong, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "everything");
}

int main(void) {
  CHECK(vsearch_text_data(NULL) == NULL && vsearch_text_size(NULL) == 0);
  vsearch_text_free(NULL);
  const char* root = make_classes();
  vsearch_encoder* encoder = NULL;
  CHECK_OK(vsearch_encoder_load(stand_in("grid.vsm.pt"), NULL, &encoder, &error));
  test_encoder(encoder, root);
  test_catalog();
  test_audit(encoder, root);
  vsearch_encoder_free(encoder);
  return test_result();
}
