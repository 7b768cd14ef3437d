// vsx: visual search on the command line.
#include <CLI/CLI.hpp>

#include "vsearch/version.h"

int main(int argc, char** argv) {
  CLI::App app("Visual search: pictures in, the most similar pictures out.", "vsx");
  app.set_version_flag("--version", "vsx " VSEARCH_VERSION);
  CLI11_PARSE(app, argc, argv);
  return 0;
}
