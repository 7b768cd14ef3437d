/* A library built without torch says so when an encoder is asked for. */
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
  return test_result();
}
