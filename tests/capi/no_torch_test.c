/* A library built without torch says so when an encoder is asked for. */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <sys/stat.h>

#include "support.h"

int main(void) {
  const char* model = temp_path("model.vsm.pt");
  vsearch_encoder* encoder = NULL;
  vsearch_catalog* catalog = NULL;
  vsearch_catalog_options options = {.struct_size = sizeof options, .encoder = model};
  write_file(model, "PK", 2);
  CHECK_FAILS(vsearch_encoder_load(model, NULL, &encoder, &error), VSEARCH_UNAVAILABLE, "torch");
  CHECK(encoder == NULL);
  CHECK_FAILS(vsearch_catalog_create(temp_path("shop.vsearch"), &options, &catalog, &error),
              VSEARCH_UNAVAILABLE, "torch");
  CHECK(catalog == NULL);
  const char* photos = temp_path("photos");
  const char* const classes[] = {"photos/a", "photos/b"};
  vsearch_text* json = NULL;
  mkdir(photos, 0700);
  for (int i = 0; i < 2; ++i) {
    char name[32];
    mkdir(temp_path(classes[i]), 0700);
    for (int j = 0; j < 2; ++j) {
      snprintf(name, sizeof name, "%s/%d.bmp", classes[i], j);
      write_bmp(i, temp_path(name));
    }
  }
  CHECK_FAILS(vsearch_train(model, "folder", photos, temp_path("tuned.vsm.pt"), NULL, NULL, NULL,
                            &json, &error),
              VSEARCH_UNAVAILABLE, "torch");
  CHECK(json == NULL);
  CHECK_FAILS(vsearch_distill(model, "vit", &photos, 1, temp_path("small.vsm.pt"), NULL, NULL, NULL,
                              &json, &error),
              VSEARCH_UNAVAILABLE, "torch");
  CHECK(json == NULL);
  return test_result();
}
