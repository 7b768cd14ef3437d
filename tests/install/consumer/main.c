/* A C program that knows vsearch_c.h and libvsearch.so only. */
#include <stdio.h>
#include <string.h>
#include <vsearch_c.h>

int main(void) {
  vsearch_error error;
  vsearch_catalog* shop = NULL;
  printf("libvsearch %s\n", vsearch_version());
  if (vsearch_catalog_open("no-such-shop.vsearch", NULL, &shop, &error) != VSEARCH_FILE_NOT_FOUND) {
    return 1;
  }
  printf("%s\n", error.message);
  return shop == NULL && strstr(error.message, "no-such-shop.vsearch") != NULL ? 0 : 1;
}
