/* Writes the four test pictures as DIR/NAME.bmp, for tests of programs that take files. */
#include <stdio.h>

#include "support.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (int i = 0; i < PICTURE_COUNT; ++i) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.bmp", argv[1], picture_name(i));
    write_bmp(i, path);
  }
  return 0;
}
