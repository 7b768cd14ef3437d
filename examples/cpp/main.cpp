// The whole pipeline in one program: a folder of pictures becomes a catalogue on disk, and a
// picture finds what looks like it there.
//
//   example_cpp CATALOG FOLDER PICTURE
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "vsearch/vsearch.h"

namespace fs = std::filesystem;

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s CATALOG FOLDER PICTURE\n", argv[0]);
    return 2;
  }
  const fs::path catalog = argv[1];
  const fs::path folder = fs::canonical(argv[2]);

  const auto encoder = vsearch::load_encoder(vsearch::find_encoder());
  vsearch::Catalog shop =
      fs::exists(catalog)
          ? vsearch::Catalog::open(catalog, {.encoder = encoder})
          : vsearch::Catalog::create(
                catalog, {.encoder = encoder, .encoder_ref = vsearch::encoder_reference()});

  std::vector<vsearch::Item> items;
  for (const fs::directory_entry& file : fs::recursive_directory_iterator(folder)) {
    if (!vsearch::has_image_extension(file.path())) continue;
    const std::string key = file.path().lexically_relative(folder).generic_string();
    items.push_back({.key = key, .pictures = {{.path = file.path().string()}}});
  }
  const vsearch::AddReport report = shop.add(items);
  for (const vsearch::AddFailure& failure : report.failures) {
    std::fprintf(stderr, "%s\n", failure.message.c_str());
  }

  const vsearch::Image picture = vsearch::read_image(argv[3]);
  const auto hits = vsearch::Searcher(shop).search(vsearch::Query::image(picture.view()), {.k = 5});
  for (const vsearch::Hit& hit : hits) {
    std::printf("%.3f  %s\n", static_cast<double>(hit.score), hit.key.c_str());
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
