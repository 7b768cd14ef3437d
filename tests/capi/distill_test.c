/* Distillation through the C interface: options as JSON in, the report as JSON out. The stand-in
 * learns nothing and tells in its report what it was asked for. */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "support.h"

/* A folder of three pictures. */
static const char* make_pictures(const char* name) {
  const char* root = temp_path(name);
  mkdir(root, 0700);
  for (int i = 0; i < 3; ++i) {
    char path[64];
    snprintf(path, sizeof path, "%s/%d.bmp", name, i);
    write_bmp(i, temp_path(path));
  }
  return root;
}

static void check_has(const vsearch_text* json, const char* text) {
  CHECK(vsearch_text_data(json) != NULL && strstr(vsearch_text_data(json), text) != NULL);
}

static int stop_in_epoch_2(void* user, const vsearch_train_state* state) {
  CHECK(state->step == 3 && state->steps == 4);
  ++*(int*)user;
  return state->epoch == 2;
}

static void test_options(const char* teacher, const char* const* pictures, const char* small) {
  vsearch_text* json = NULL;
  CHECK_OK(vsearch_distill(teacher, NULL, pictures, 2, small, "{\"epochs\": 1}", NULL, NULL, &json,
                           &error));
  CHECK(vsearch_text_size(json) == strlen(vsearch_text_data(json)));
  check_has(json, "\"start\": \"vit\"");
  check_has(json, "\"pictures\": 4"); /* three in a folder, and one of them named itself */
  check_has(json, "small.vsm.pt");
  check_has(json, "\"held_out_cosine\": null");
  vsearch_text_free(json);

  int calls = 0;
  CHECK_OK(
      vsearch_distill(teacher, "vit:depth=2", pictures, 1, small,
                      "{\"epochs\": 9, \"rate\": 0.0625, \"relational\": 0.75, \"cosine\": 0.5,"
                      " \"warm_up\": 0.375, \"held_out\": 0.125, \"seed\": 77,"
                      " \"augmentation\": {\"erase\": 0.875}, \"device\": \"cpu\"}",
                      stop_in_epoch_2, &calls, &json, &error));
  CHECK(calls == 2);
  check_has(json, "\"start\": \"vit:depth=2\"");
  check_has(json, "\"held_out\": 77");
  check_has(json, "\"loss\": 0.75");
  check_has(json, "\"rate\": 0.0625");
  check_has(json, "\"seconds\": 0.375");
  check_has(json, "\"pictures_per_second\": 0.875");
  check_has(json, "\"held_out_cosine\": 0.5");
  check_has(json, "\"held_out_overlap@10\": 0.125");
  check_has(json, "\"stopped\": \"asked to stop\"");
  vsearch_text_free(json);
}

static void test_bad_input(const char* teacher, const char* const* pictures, const char* small) {
  static const struct {
    const char* options;
    const char* message; /* holds this */
  } cases[] = {
      {"epochs = 3", "options is no JSON: 'epochs = 3'"},
      {"{\"depth\": \"full\"}", "options has no 'depth'; it has: cosine, relational"},
      {"{\"epochs\": -1}", "options.epochs is -1; it must be a whole number"},
      {"{\"cosine\": \"much\"}", "options.cosine is \"much\"; it must be a number"},
      {"{\"augmentation\": {\"blur\": 1}}", "options.augmentation has no 'blur'"},
      {"{\"precision\": \"fp8\"}", "it must be auto, fp32 or bf16"},
  };
  vsearch_text* json = NULL;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    CHECK_FAILS(vsearch_distill(teacher, "vit", pictures, 1, small, cases[i].options, NULL, NULL,
                                &json, &error),
                VSEARCH_INVALID_ARGUMENT, cases[i].message);
    CHECK(json == NULL);
  }
  CHECK_FAILS(vsearch_distill(NULL, "vit", pictures, 1, small, NULL, NULL, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "teacher is NULL");
  CHECK_FAILS(vsearch_distill(teacher, "vit", NULL, 1, small, NULL, NULL, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "pictures is NULL");
  CHECK_FAILS(vsearch_distill(teacher, "vit", pictures, 1, NULL, NULL, NULL, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "output is NULL");
  CHECK_FAILS(
      vsearch_distill(teacher, "vit", pictures, 1, teacher, NULL, NULL, NULL, &json, &error),
      VSEARCH_INVALID_ARGUMENT, "would replace the teacher");
  CHECK_FAILS(
      vsearch_distill("no-such-model", "vit", pictures, 1, small, NULL, NULL, NULL, &json, &error),
      VSEARCH_FILE_NOT_FOUND, "no-such-model");
  const char* nowhere = temp_path("nowhere");
  CHECK_FAILS(vsearch_distill(teacher, "vit", &nowhere, 1, small, NULL, NULL, NULL, &json, &error),
              VSEARCH_FILE_NOT_FOUND, "nowhere");
  CHECK_FAILS(vsearch_distill(teacher, "vit", pictures, 1, small, NULL, NULL, NULL, NULL, &error),
              VSEARCH_INVALID_ARGUMENT, "out is NULL");
}

int main(void) {
  const char* teacher = stand_in("grid.vsm.pt");
  const char* root = make_pictures("photos");
  const char* const pictures[] = {root, temp_path("photos/1.bmp")};
  const char* small = temp_path("small.vsm.pt");
  test_options(teacher, pictures, small);
  test_bad_input(teacher, pictures, small);
  return test_result();
}
