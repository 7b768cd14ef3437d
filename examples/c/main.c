/* The whole pipeline from C: picture files become items of a catalogue on disk, and a picture
 * finds what looks like it there.
 *
 *   example_c CATALOG PICTURE FILE...
 */
#include <stdio.h>
#include <stdlib.h>
#include <vsearch_c.h>

static void check(vsearch_status status, const vsearch_error* error) {
  if (status == VSEARCH_OK) return;
  fprintf(stderr, "%s\n", error->message);
  exit(1);
}

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: %s CATALOG PICTURE FILE...\n", argv[0]);
    return 2;
  }
  vsearch_error error;
  vsearch_catalog* shop = NULL;
  vsearch_status status = vsearch_catalog_open(argv[1], NULL, &shop, &error);
  if (status == VSEARCH_FILE_NOT_FOUND) {
    status = vsearch_catalog_create(argv[1], NULL, &shop, &error);
  }
  check(status, &error);

  for (int i = 3; i < argc; ++i) {
    const vsearch_picture picture = {.struct_size = sizeof picture, .path = argv[i]};
    const vsearch_item item = {
        .struct_size = sizeof item, .key = argv[i], .pictures = &picture, .picture_count = 1};
    vsearch_add_report* report = NULL;
    check(vsearch_catalog_add(shop, &item, 1, NULL, &report, &error), &error);
    const vsearch_add_failure* failure = vsearch_add_report_failure(report, 0);
    if (failure != NULL) fprintf(stderr, "%s\n", failure->message);
    vsearch_add_report_free(report);
  }

  const vsearch_query query = {.struct_size = sizeof query, .image_path = argv[2]};
  const vsearch_search_options options = {.struct_size = sizeof options, .k = 5};
  vsearch_hits* hits = NULL;
  check(vsearch_catalog_search(shop, &query, &options, &hits, &error), &error);
  for (size_t i = 0; i < vsearch_hits_count(hits); ++i) {
    const vsearch_hit* hit = vsearch_hits_at(hits, i);
    printf("%.3f  %s\n", (double)hit->score, hit->key);
  }
  vsearch_hits_free(hits);
  vsearch_catalog_free(shop);
  return 0;
}
