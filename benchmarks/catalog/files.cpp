#include <fstream>

#include "bench.h"
#include "support/bmp.h"
#include "vsearch/catalog.h"

namespace vsearch_bench {

namespace fs = std::filesystem;

void measure_files(const fs::path& folder, std::uint64_t files) {
  const fs::path photos = folder / "photos";
  const auto write = [&](std::uint64_t i, std::uint64_t number) {
    const auto shade = [&](std::uint64_t step) {
      return static_cast<std::uint8_t>(number * step >> 3);
    };
    const fs::path file = photos / fmt::format("{:03}", i / 1000) / fmt::format("{:06}.bmp", i);
    vsearch_test::write_file(file, vsearch_test::bmp(4, 4, [&](std::uint32_t x, std::uint32_t y) {
                               return vsearch_test::Rgb{shade(x + 1), shade(y + 3), shade(7)};
                             }));
  };
  for (std::uint64_t i = 0; i < files; ++i) {
    if (i % 1000 == 0) fs::create_directories(photos / fmt::format("{:03}", i / 1000));
    write(i, i);
  }
  vsearch::CatalogCreateOptions options;
  options.encoder = std::make_shared<vsearch_test::FakeEncoder>();
  options.encoder_ref = "fake";
  vsearch::Catalog catalog = vsearch::Catalog::create(folder / "synced", options);
  const vsearch::FilesSource source{.paths = {photos}};
  const double first = seconds([&] { catalog.sync(source); });
  std::uint64_t changes = 0;
  const double unchanged =
      median_seconds(5, [&] { changes += catalog.sync(source).changes.size(); });
  for (std::uint64_t i = 0; i < files; i += 100) write(i, i + files);
  const double some = seconds([&] { changes += catalog.sync(source).changes.size(); });
  tell({{"what", "sync"},
        {"files", files},
        {"first_s", first},
        {"unchanged_s", unchanged},
        {"one_percent_changed_s", some},
        {"changes", changes}});
}

}  // namespace vsearch_bench
