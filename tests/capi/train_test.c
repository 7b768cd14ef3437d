/* Training through the C interface: options as JSON in, the report as JSON out. The stand-in learns
 * nothing and tells in its report what it was asked for. */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "support.h"

/* A folder of classes: two, of two pictures each. */
static const char* make_classes(const char* name) {
  const char* root = temp_path(name);
  mkdir(root, 0700);
  for (int i = 0; i < 2; ++i) {
    char path[64];
    snprintf(path, sizeof path, "%s/%s", name, picture_name(i));
    mkdir(temp_path(path), 0700);
    for (int copy = 0; copy < 2; ++copy) {
      snprintf(path, sizeof path, "%s/%s/%d.bmp", name, picture_name(i), copy);
      write_bmp(i, temp_path(path));
    }
  }
  return root;
}

static void check_has(const vsearch_text* json, const char* text) {
  CHECK(vsearch_text_data(json) != NULL && strstr(vsearch_text_data(json), text) != NULL);
}

static int count_epochs(void* user, const vsearch_train_state* state) {
  CHECK(state->epochs == 3 && state->step == 3 && state->steps == 4);
  CHECK_NEAR(state->loss, 0.5, 1e-9);
  CHECK_NEAR(state->seconds_left, 60, 1e-9);
  CHECK(state->epoch == (uint32_t)++ * (int*)user);
  return 0;
}

static int stop_in_epoch_2(void* user, const vsearch_train_state* state) {
  (void)user;
  return state->epoch == 2;
}

static void test_options(const char* model, const char* root, const char* tuned) {
  vsearch_text* json = NULL;
  CHECK_OK(vsearch_train(model, NULL, root, tuned, NULL, NULL, NULL, &json, &error));
  CHECK(vsearch_text_size(json) == strlen(vsearch_text_data(json)));
  check_has(json, "\"depth\": \"head\"");
  check_has(json, "\"loss\": \"arcface\"");
  check_has(json, "tuned.vsm.pt");
  check_has(json, "\"pictures\": 4");
  check_has(json, "\"held_out\": 0");
  vsearch_text_free(json);

  char options[1024];
  snprintf(options, sizeof options,
           "{\"depth\": \"partial\", \"loss\": \"supcon\", \"epochs\": 3, \"rate\": 0.0625,"
           " \"head_rate\": 0.75, \"warm_up\": 0.375, \"mix_with_start\": false, \"margin\": null,"
           " \"augmentation\": {\"erase\": 0.875}, \"label_fields\": [], \"device\": \"cpu\","
           " \"keep_apart\": [{\"root\": \"%s\"}, {\"dataset\": \"folder\", \"root\": \"%s\"}]}",
           root, root);
  int calls = 0;
  CHECK_OK(
      vsearch_train(model, "folder", root, tuned, options, count_epochs, &calls, &json, &error));
  CHECK(calls == 3);
  check_has(json, "\"depth\": \"partial\"");
  check_has(json, "\"loss\": \"supcon\"");
  check_has(json, "\"held_out\": 8");
  check_has(json, "\"loss\": 0.0625");
  check_has(json, "\"rate\": 0.75");
  check_has(json, "\"seconds\": 0.375");
  check_has(json, "\"pictures_per_second\": 0.875");
  check_has(json, "\"held_out_mAP\": null");
  check_has(json, "\"held_out_R@1\": 0.0");
  vsearch_text_free(json);

  CHECK_OK(vsearch_train(model, "folder", root, tuned, "{\"epochs\": 9}", stop_in_epoch_2, NULL,
                         &json, &error));
  check_has(json, "asked to stop");
  CHECK(strstr(vsearch_text_data(json), "\"epoch\": 3") == NULL);
  vsearch_text_free(json);
}

static void test_bad_input(const char* model, const char* root, const char* tuned) {
  static const struct {
    const char* options;
    const char* message; /* holds this */
  } cases[] = {
      {"epochs = 3", "options is no JSON: 'epochs = 3'"},
      {"[3]", "options is [3]; it must be an object"},
      {"{\"epoch\": 3}", "options has no 'epoch'; it has: depth, loss"},
      {"{\"loss\": \"magic\"}", "options.loss is \"magic\"; it must be arcface, subcentre"},
      {"{\"depth\": 1}", "options.depth is 1; it must be a text"},
      {"{\"depth\": \"deep\"}", "it must be head, partial or full"},
      {"{\"epochs\": -1}", "options.epochs is -1; it must be a whole number from 0 to 4294967295"},
      {"{\"epochs\": 4294967296}", "options.epochs is 4294967296"},
      {"{\"rate\": \"fast\"}", "options.rate is \"fast\"; it must be a number"},
      {"{\"balance_classes\": 1}", "options.balance_classes is 1; it must be true or false"},
      {"{\"label_fields\": \"colour\"}", "it must be a list of texts"},
      {"{\"augmentation\": {\"blur\": 1}}", "options.augmentation has no 'blur'; it has: random_"},
      {"{\"keep_apart\": \"test/\"}", "options.keep_apart is \"test/\"; it must be a list"},
      {"{\"keep_apart\": [{\"dataset\": \"folder\"}]}", "options.keep_apart[0].root is \"\""},
      {"{\"device\": \"tpu\"}", "it must be cpu or cuda"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    vsearch_text* json = NULL;
    CHECK_FAILS(
        vsearch_train(model, "folder", root, tuned, cases[i].options, NULL, NULL, &json, &error),
        VSEARCH_INVALID_ARGUMENT, cases[i].message);
    CHECK(json == NULL);
  }
  vsearch_text* json = NULL;
  CHECK_FAILS(vsearch_train(NULL, NULL, root, tuned, NULL, NULL, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "model is NULL");
  CHECK_FAILS(vsearch_train(model, NULL, NULL, tuned, NULL, NULL, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "root is NULL");
  CHECK_FAILS(vsearch_train(model, NULL, root, NULL, NULL, NULL, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "output is NULL");
  CHECK_FAILS(vsearch_train(model, NULL, root, model, NULL, NULL, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "would replace its start");
  CHECK_FAILS(vsearch_train("no-such-model", NULL, root, tuned, NULL, NULL, NULL, &json, &error),
              VSEARCH_FILE_NOT_FOUND, "no-such-model");
  CHECK_FAILS(
      vsearch_train(model, "folder", temp_path("nowhere"), tuned, NULL, NULL, NULL, &json, &error),
      VSEARCH_FILE_NOT_FOUND, "nowhere");
  CHECK_FAILS(vsearch_train(model, NULL, root, tuned, NULL, NULL, NULL, NULL, &error),
              VSEARCH_INVALID_ARGUMENT, "out is NULL");
}

static void test_words(const char* tuned) {
  const vsearch_catalog_options made = {.struct_size = sizeof made,
                                        .encoder = stand_in("grid.vsm.pt")};
  vsearch_catalog* shop = NULL;
  CHECK_OK(vsearch_catalog_create(temp_path("shop"), &made, &shop, &error));
  vsearch_text* json = NULL;
  CHECK_OK(vsearch_train_text(shop, tuned, NULL, NULL, NULL, &json, &error));
  check_has(json, "tuned.vsm.pt");
  check_has(json, "\"pairs\": 0");
  check_has(json, "\"pieces\": 20000");
  check_has(json, "\"epoch\": 30");
  vsearch_text_free(json);

  int calls = 0;
  char options[1024];
  snprintf(options, sizeof options,
           "{\"fields\": [\"title\", \"colour\"], \"epochs\": 3, \"rate\": 0.0625,"
           " \"weight_decay\": 0.75, \"held_out\": 0.25, \"most_pieces\": 500, \"width\": 64,"
           " \"batch_size\": 8, \"patience\": 2, \"seed\": 7, \"model\": \"%s\"}",
           stand_in("other.vsm.pt"));
  CHECK_OK(vsearch_train_text(shop, tuned, options, count_epochs, &calls, &json, &error));
  CHECK(calls == 3);
  check_has(json, "\"texts\": 2");
  check_has(json, "\"pieces\": 500");
  check_has(json, "\"loss\": 0.0625");
  check_has(json, "\"seconds\": 0.75");
  check_has(json, "\"recall_at_1\": 0.25");
  check_has(json, "\"recall_at_10\": null");
  check_has(json, "other.vsm.pt");
  vsearch_text_free(json);

  CHECK_FAILS(vsearch_train_text(NULL, tuned, NULL, NULL, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "catalog is NULL");
  CHECK_FAILS(vsearch_train_text(shop, NULL, NULL, NULL, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "output is NULL");
  CHECK_FAILS(vsearch_train_text(shop, tuned, "{\"field\": 1}", NULL, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "options has no 'field'; it has: fields, model");
  CHECK_FAILS(vsearch_train_text(shop, tuned, "{\"model\": \"none\"}", NULL, NULL, &json, &error),
              VSEARCH_FILE_NOT_FOUND, "none");

  /* The stand-in understands no words, and says how they are learned. */
  vsearch_hits* hits = NULL;
  const vsearch_query query = {.struct_size = sizeof query, .text = "red shoes"};
  const vsearch_search_options how = {.struct_size = sizeof how, .k = 3};
  CHECK_FAILS(vsearch_catalog_search(shop, &query, &how, &hits, &error), VSEARCH_UNAVAILABLE,
              "vsx train-text");
  const vsearch_query both = {.struct_size = sizeof both, .like = "a", .text = "b"};
  CHECK_FAILS(vsearch_catalog_search(shop, &both, &how, &hits, &error), VSEARCH_INVALID_ARGUMENT,
              "exactly one of like, image_path, image_bytes, pixels.data, embedding and text");
  vsearch_catalog_free(shop);
}

static void test_catalog(const char* model, const char* root, const char* tuned) {
  vsearch_catalog* shop = make_catalog("labelled", NULL);
  for (int i = 0; i < 4; ++i) {
    char key[8], path[1024];
    snprintf(key, sizeof key, "item-%d", i);
    snprintf(path, sizeof path, "%s/%s/%d.bmp", root, picture_name(i / 2), i % 2);
    add_file(shop, key, path);
  }
  static const char clicks[] = "key,relevant\nitem-0,item-1\nitem-2,item-3|item-9\n";
  write_file(temp_path("clicks.csv"), clicks, strlen(clicks));
  char options[1024];
  snprintf(options, sizeof options, "{\"queries\": \"%s\", \"epochs\": 3}",
           temp_path("clicks.csv"));
  vsearch_text* json = NULL;
  int calls = 0;
  CHECK_OK(vsearch_catalog_train(shop, model, tuned, options, count_epochs, &calls, &json, &error));
  CHECK(calls == 3);
  check_has(json, "\"pictures\": 4");
  check_has(json, "\"classes\": 2");
  vsearch_text_free(json);

  CHECK_FAILS(vsearch_catalog_train(NULL, model, tuned, options, NULL, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "catalog is NULL");
  CHECK_FAILS(vsearch_catalog_train(shop, model, tuned, NULL, NULL, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "give either label_fields or queries");
  CHECK_FAILS(vsearch_catalog_train(shop, model, tuned, "{\"label_fields\": [\"type\"]}", NULL,
                                    NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "the field 'type'");
  CHECK_FAILS(vsearch_catalog_train(shop, model, tuned, "{\"queries\": \"none.csv\"}", NULL, NULL,
                                    &json, &error),
              VSEARCH_FILE_NOT_FOUND, "none.csv");
  CHECK_FAILS(vsearch_train(model, NULL, root, tuned, options, NULL, NULL, &json, &error),
              VSEARCH_INVALID_ARGUMENT, "options has no 'queries'");
  vsearch_catalog_free(shop);
}

int main(void) {
  const char* model = stand_in("grid.vsm.pt");
  const char* root = make_classes("classes");
  const char* tuned = temp_path("tuned.vsm.pt");
  test_options(model, root, tuned);
  test_bad_input(model, root, tuned);
  test_catalog(model, root, tuned);
  test_words(tuned);
  return test_result();
}
