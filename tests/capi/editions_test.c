/* Another encoder takes over a catalogue, if the gate allows, and the first can return. */
#define _XOPEN_SOURCE 700
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static const char* paths[PICTURE_COUNT];

static vsearch_catalog* make_shop(const char* name) {
  vsearch_catalog* shop = make_catalog(name, NULL);
  for (int i = 0; i < PICTURE_COUNT; ++i) {
    write_bmp(i, paths[i]);
    add_file(shop, picture_name(i), paths[i]);
  }
  return shop;
}

/* A picture that is in no catalogue yet, though it looks like the first. */
static const char* write_new_picture(const char* name) {
  const char* path = temp_path(name);
  size_t length = 0;
  uint8_t* file = read_file(paths[0], &length);
  file[length - 1] ^= 1;
  for (size_t i = 0; name[i] != '\0'; ++i) file[length - 2 - i] ^= (uint8_t)name[i];
  write_file(path, file, length);
  free(file);
  return path;
}

static vsearch_encoder* load_other(void) {
  vsearch_encoder* encoder = NULL;
  CHECK_OK(vsearch_encoder_load(stand_in("other.vsm.pt"), NULL, &encoder, &error));
  return encoder;
}

/* "0 1 2": the states of all editions, by id. */
static const char* states(const vsearch_catalog* shop) {
  static char text[64];
  vsearch_editions* editions = NULL;
  text[0] = '\0';
  CHECK_OK(vsearch_catalog_editions(shop, &editions, &error));
  for (size_t i = 0; i < vsearch_editions_count(editions); ++i) {
    const char state[] = {(char)('0' + vsearch_editions_at(editions, i)->state), ' ', '\0'};
    strcat(text, state);
  }
  CHECK(vsearch_editions_at(editions, vsearch_editions_count(editions)) == NULL);
  vsearch_editions_free(editions);
  return text;
}

static void check_finds_its_own(const vsearch_catalog* shop) {
  const vsearch_search_options options = {.struct_size = sizeof options, .k = 1};
  for (int i = 0; i < PICTURE_COUNT; ++i) {
    const vsearch_query query = {.struct_size = sizeof query, .image_path = paths[i]};
    vsearch_hits* hits = NULL;
    CHECK_OK(vsearch_catalog_search(shop, &query, &options, &hits, &error));
    CHECK(vsearch_hits_count(hits) == 1 &&
          strcmp(vsearch_hits_at(hits, 0)->key, picture_name(i)) == 0);
    vsearch_hits_free(hits);
  }
}

static void check_refused(vsearch_catalog* shop, const vsearch_encoder* encoder,
                          const vsearch_reencode_options* options, const char* why) {
  vsearch_reencode_report* report = NULL;
  CHECK_OK(vsearch_catalog_reencode(shop, encoder, options, &report, &error));
  CHECK(vsearch_reencode_report_switched(report) == 0);
  CHECK(strstr(vsearch_reencode_report_refusal(report), why) != NULL);
  vsearch_reencode_report_free(report);
  CHECK(strcmp(states(shop), "0 1 ") == 0);
}

struct gate {
  int calls;
  int answer;
  vsearch_edition_comparison seen;
};

static int ask_gate(void* user, const vsearch_edition_comparison* comparison) {
  struct gate* gate = user;
  ++gate->calls;
  gate->seen = *comparison;
  return gate->answer;
}

static void test_gate(vsearch_catalog* shop, const vsearch_encoder* other) {
  const char* const relevant[] = {"checks", "disc", "ramp"};
  const vsearch_labelled_query queries[2] = {{.struct_size = sizeof queries[0],
                                              .key = "stripes",
                                              .relevant = relevant,
                                              .relevant_count = 3},
                                             {.struct_size = sizeof queries[0],
                                              .path = paths[3],
                                              .relevant = relevant,
                                              .relevant_count = 1}};
  struct gate gate = {0, 1, {0, 0, 0, 0, 0, 0}};
  vsearch_reencode_options options = {.struct_size = sizeof options,
                                      .k = 2,
                                      .queries = queries,
                                      .query_count = 2,
                                      .gate = ask_gate,
                                      .gate_user = &gate};
  check_refused(shop, other, &options, "gate");
  CHECK(gate.calls == 1);
  CHECK(gate.seen.k == 2 && gate.seen.sampled == PICTURE_COUNT && gate.seen.labelled == 2);
  CHECK(gate.seen.overlap > 0 && gate.seen.overlap <= 1);
  CHECK(gate.seen.recall_before >= 0.5 && gate.seen.recall_after >= 0.5);

  options.sample = 1;
  check_refused(shop, other, &options, "gate");
  CHECK(gate.seen.sampled == 1);

  /* A gain is asked for, which a loss of 0 is not; the other gate is not reached. */
  options.max_recall_loss = -2;
  options.has_max_recall_loss = 1;
  check_refused(shop, other, &options, "ecall");
  CHECK(gate.calls == 2);
  /* Without the flag the number says nothing. */
  options.has_max_recall_loss = 0;
  check_refused(shop, other, &options, "gate");
  CHECK(gate.calls == 3);

  options.min_overlap = 2;
  CHECK_FAILS(vsearch_catalog_reencode(shop, other, &options, NULL, &error),
              VSEARCH_INVALID_ARGUMENT, "min_overlap is 2");
  options.min_overlap = 0;
  options.queries = NULL;
  CHECK_FAILS(vsearch_catalog_reencode(shop, other, &options, NULL, &error),
              VSEARCH_INVALID_ARGUMENT, "options.queries is NULL");
  vsearch_labelled_query hole = queries[0];
  hole.relevant = NULL;
  options.queries = &hole;
  options.query_count = 1;
  CHECK_FAILS(vsearch_catalog_reencode(shop, other, &options, NULL, &error),
              VSEARCH_INVALID_ARGUMENT, "options.queries[0].relevant is NULL");
}

static void test_switch_and_rollback(vsearch_catalog* shop, vsearch_encoder* other) {
  int calls = 0;
  const vsearch_reencode_options options = {
      .struct_size = sizeof options, .progress = count_progress, .progress_user = &calls};
  vsearch_reencode_report* report = NULL;
  add_file(shop, "more", write_new_picture("more.bmp"));
  CHECK_OK(vsearch_catalog_reencode(shop, other, &options, &report, &error));
  vsearch_encoder_free(other); /* the catalogue keeps what it needs of it */
  CHECK(vsearch_reencode_report_switched(report) == 1);
  CHECK(strcmp(vsearch_reencode_report_refusal(report), "") == 0);
  CHECK(vsearch_reencode_report_reused(report) == PICTURE_COUNT); /* of the refused runs */
  CHECK(vsearch_reencode_report_encoded(report) == 1);
  CHECK(calls > 0);
  CHECK(vsearch_reencode_report_missing_count(report) == 0);
  CHECK(vsearch_reencode_report_missing(report, 0) == NULL);
  CHECK(vsearch_reencode_report_comparison(report)->k == 10);
  const vsearch_edition* edition = vsearch_reencode_report_edition(report);
  CHECK(edition->id == 2 && edition->state == VSEARCH_EDITION_SERVING);
  CHECK(edition->dim == STAND_IN_DIM / 2 && edition->metric == 0);
  CHECK(strcmp(edition->encoder, stand_in("other.vsm.pt")) == 0); /* as it was loaded */
  CHECK(strcmp(edition->encoder_name, "other-grid") == 0);
  CHECK(strlen(edition->encoder_fingerprint) == 64);
  CHECK(edition->embeddings == PICTURE_COUNT + 1);
  vsearch_reencode_report_free(report);
  CHECK(strcmp(states(shop), "2 0 ") == 0);
  const char* const keys[] = {"more"};
  CHECK_OK(vsearch_catalog_remove(shop, keys, 1, NULL, &error));
  check_finds_its_own(shop);
}

static void test_rollback(vsearch_catalog* shop, const char* path) {
  vsearch_reencode_report* report = NULL;
  vsearch_catalog* opened = NULL;
  const vsearch_work_options stop = {.struct_size = sizeof stop, .progress = stop_progress};
  add_file(shop, "late",
           write_new_picture("late.bmp")); /* the first edition's encoder must be loaded for it */
  vsearch_catalog_free(shop);
  CHECK_OK(vsearch_catalog_open(path, NULL, &opened, &error));
  CHECK_FAILS(vsearch_catalog_rollback(opened, &stop, &report, &error), VSEARCH_CANCELLED, "");
  CHECK_OK(vsearch_catalog_rollback(opened, NULL, &report, &error));
  CHECK(vsearch_reencode_report_switched(report) == 1);
  CHECK(vsearch_reencode_report_edition(report)->id == 1);
  CHECK(vsearch_reencode_report_edition(report)->dim == STAND_IN_DIM);
  vsearch_reencode_report_free(report);
  CHECK(strcmp(states(opened), "0 2 ") == 0);

  CHECK_FAILS(vsearch_catalog_drop_edition(opened, 1, &error), VSEARCH_INVALID_ARGUMENT, "serv");
  CHECK_FAILS(vsearch_catalog_drop_edition(opened, 7, &error), VSEARCH_KEY_NOT_FOUND, "7");
  CHECK_OK(vsearch_catalog_drop_edition(opened, 2, &error));
  CHECK(strcmp(states(opened), "0 ") == 0);
  report = (vsearch_reencode_report*)&error;
  CHECK_FAILS(vsearch_catalog_rollback(opened, NULL, &report, &error), VSEARCH_KEY_NOT_FOUND,
              "edition");
  CHECK(report == NULL);
  const char* const keys[] = {"late"};
  CHECK_OK(vsearch_catalog_remove(opened, keys, 1, NULL, &error));
  check_finds_its_own(opened);
  vsearch_catalog_free(opened);
}

static void test_missing(void) {
  vsearch_catalog* shop = make_shop("missing.vsearch");
  vsearch_encoder* other = load_other();
  CHECK(unlink(paths[1]) == 0);
  vsearch_reencode_options options = {
      .struct_size = sizeof options, .encoder_ref = "other-by-name", .drop_old = 1};
  vsearch_reencode_report* report = NULL;
  CHECK_OK(vsearch_catalog_reencode(shop, other, &options, &report, &error));
  CHECK(vsearch_reencode_report_switched(report) == 0);
  CHECK(strlen(vsearch_reencode_report_refusal(report)) > 0);
  CHECK(vsearch_reencode_report_missing_count(report) == 1);
  const vsearch_missing_picture* missing = vsearch_reencode_report_missing(report, 0);
  CHECK(missing != NULL && strcmp(missing->key, picture_name(1)) == 0);
  CHECK(missing != NULL && strcmp(missing->path, paths[1]) == 0);
  CHECK(missing != NULL && missing->id > 0 && strlen(missing->message) > 0);
  vsearch_reencode_report_free(report);

  options.max_missing_share = 0.5;
  CHECK_OK(vsearch_catalog_reencode(shop, other, &options, &report, &error));
  CHECK(vsearch_reencode_report_switched(report) == 1);
  CHECK(strcmp(vsearch_reencode_report_edition(report)->encoder, "other-by-name") == 0);
  CHECK(vsearch_reencode_report_edition(report)->embeddings == PICTURE_COUNT - 1);
  vsearch_reencode_report_free(report);
  CHECK(strcmp(states(shop), "0 ") == 0); /* the old one was not to be kept */
  CHECK_FAILS(vsearch_catalog_reencode(shop, other, NULL, &report, &error),
              VSEARCH_INVALID_ARGUMENT, "other-grid");
  vsearch_encoder_free(other);
  vsearch_catalog_free(shop);
}

static void test_bad_arguments(vsearch_catalog* shop, const vsearch_encoder* other) {
  vsearch_reencode_options options = {.struct_size = sizeof options, .progress = stop_progress};
  vsearch_reencode_report* report = (vsearch_reencode_report*)&error;
  CHECK_FAILS(vsearch_catalog_reencode(shop, other, &options, &report, &error), VSEARCH_CANCELLED,
              "");
  CHECK(report == NULL);
  options.struct_size = 0;
  CHECK_FAILS(vsearch_catalog_reencode(shop, other, &options, &report, &error),
              VSEARCH_INVALID_ARGUMENT, "options.struct_size is 0");
  CHECK_FAILS(vsearch_catalog_reencode(shop, NULL, NULL, &report, &error), VSEARCH_INVALID_ARGUMENT,
              "encoder is NULL");
  CHECK_FAILS(vsearch_catalog_reencode(NULL, other, NULL, &report, &error),
              VSEARCH_INVALID_ARGUMENT, "catalog is NULL");
  const vsearch_work_options work = {.struct_size = 0};
  CHECK_FAILS(vsearch_catalog_rollback(shop, &work, &report, &error), VSEARCH_INVALID_ARGUMENT,
              "options.struct_size is 0");
}

int main(void) {
  for (int i = 0; i < PICTURE_COUNT; ++i) paths[i] = temp_path(picture_name(i));
  vsearch_catalog* shop = make_shop("shop.vsearch");
  vsearch_encoder* other = load_other();
  test_bad_arguments(shop, other);
  test_gate(shop, other);
  test_switch_and_rollback(shop, other);
  test_rollback(shop, temp_path("shop.vsearch"));
  test_missing();
  return test_result();
}
