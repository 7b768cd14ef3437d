// Measures a catalogue of synthetic items with 384-d embeddings; bench.py calls it.
//
//   catalog_bench FOLDER ITEMS FILES   prints a row of JSON a line; FOLDER must be empty
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <span>

#include "bench.h"
#include "vsearch/catalog.h"
#include "vsearch/searcher.h"

namespace vsearch_bench {

namespace fs = std::filesystem;
using vsearch::Catalog;
using vsearch::Filter;
using vsearch::Item;
using vsearch::Query;
using vsearch::Searcher;

namespace {

constexpr std::size_t kLatent = 48;
constexpr std::size_t kClusters = 2000;
constexpr std::uint64_t kChanges = 1000;

std::string key_of(std::uint64_t item) {
  return fmt::format("sku-{:08}", item);
}

vsearch::AddReport add(Catalog& catalog, const Embeddings& embeddings, std::uint64_t first,
                       std::uint64_t count, double& spent) {
  std::vector<std::vector<float>> vectors;
  std::vector<Item> items;
  for (std::uint64_t i = first; i < first + count; ++i) vectors.push_back(embeddings.of(i));
  for (std::uint64_t i = first; i < first + count; ++i) {
    Item item;
    item.key = key_of(i);
    item.metadata = metadata_of(i);
    item.pictures.push_back(
        {.path = fmt::format("/shop/pictures/{:08}.jpg", i), .embedding = vectors[i - first]});
    items.push_back(std::move(item));
  }
  vsearch::AddReport report;
  spent += seconds([&] { report = catalog.add(items); });
  return report;
}

void fill(Catalog& catalog, const Embeddings& embeddings, std::uint64_t items) {
  double spent = 0;
  for (std::uint64_t first = 0; first < items; first += kBatch) {
    const auto failures =
        add(catalog, embeddings, first, std::min<std::uint64_t>(kBatch, items - first), spent)
            .failures;
    if (!failures.empty()) throw std::runtime_error(failures[0].message);
  }
  tell({{"what", "add"},
        {"items", items},
        {"batch", kBatch},
        {"items_a_second", static_cast<double>(items) / spent}});
  std::vector<double> singles;
  for (std::uint64_t i = 0; i < 200; ++i) {
    double one = 0;
    add(catalog, embeddings, items + i, 1, one);
    singles.push_back(one);
  }
  tell({{"what", "add one"}, {"items", items}, {"ms", 1e3 * median(std::move(singles))}});
  std::vector<std::string> keys;
  for (std::uint64_t i = 0; i < 200; ++i) keys.push_back(key_of(items + i));
  catalog.remove(keys);
}

void measure_filters(Catalog& catalog, std::uint64_t items) {
  const auto measure = [&](const char* name, const std::string& expression, int repeats) {
    const Filter filter = Filter::parse(expression);
    std::uint64_t found = catalog.match(filter).size();  // warm, as all figures here
    const double spent = median_seconds(repeats, [&] { found = catalog.match(filter).size(); });
    tell({{"what", "filter"},
          {"items", items},
          {"filter", name},
          {"expression", expression},
          {"share", static_cast<double>(found) / static_cast<double>(items)},
          {"ms", 1e3 * spent}});
  };
  measure("1 %, undeclared", "price < 1", 3);
  const double declaring = seconds([&] {
    catalog.declare_field({"price", vsearch::FieldType::kNumber});
    catalog.declare_field({"colour", vsearch::FieldType::kText});
    catalog.declare_field({"tags", vsearch::FieldType::kTags});
  });
  tell({{"what", "declare"}, {"items", items}, {"fields", 3}, {"s", declaring}});
  measure("1 %", "price < 1", 21);
  measure("10 %", "price < 10", 11);
  measure("50 %", "price < 50", 5);
  measure("two of them", "colour = 'colour 3' AND price BETWEEN 10 AND 30", 11);
  measure("not", "NOT price < 99", 11);
  measure("a tag", "tags HAS 'tag 7'", 11);
  measure("1 %, and an undeclared one", "price < 1 AND maker = 'maker 1'", 11);
}

void measure_patches(Catalog& catalog, std::uint64_t items) {
  std::mt19937_64 random(7);
  const auto patches_of = [&](std::size_t count) {
    std::vector<vsearch::MetadataPatch> patches;
    for (std::size_t i = 0; i < count; ++i) {
      patches.push_back(
          {key_of(random() % items),
           fmt::format(R"({{"price": {:.2f}}})", static_cast<double>(random() % 10'000) / 100)});
    }
    return patches;
  };
  double spent = 0;
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    const auto patches = patches_of(kBatch);
    spent += seconds([&] { catalog.patch(patches); });
  }
  std::vector<double> singles;
  for (int i = 0; i < 200; ++i) {
    const auto patch = patches_of(1);
    singles.push_back(seconds([&] { catalog.patch(patch); }));
  }
  tell({{"what", "patch"},
        {"items", items},
        {"patches_a_second", kRounds * static_cast<double>(kBatch) / spent},
        {"one_ms", 1e3 * median(std::move(singles))}});
}

void measure_sizes(const Catalog& catalog, const fs::path& shop, std::uint64_t items) {
  const auto n = static_cast<double>(items);
  tell({{"what", "size"},
        {"items", items},
        {"database_bytes_an_item", static_cast<double>(fs::file_size(shop / "catalog.db")) / n},
        {"snapshot_bytes_an_item", static_cast<double>(fs::file_size(shop / "index.snapshot")) / n},
        {"memory_bytes_an_item", static_cast<double>(catalog.info().index.memory_bytes) / n},
        {"embedding_bytes", kDim * sizeof(float)}});
}

// From nothing to the first answer, which must be right.
double open_seconds(const fs::path& shop, const Embeddings& embeddings, std::uint64_t item) {
  const std::vector<float> vector = embeddings.of(item);
  std::unique_ptr<Catalog> catalog;
  std::string key;
  const double spent = seconds([&] {
    catalog = std::make_unique<Catalog>(Catalog::open(shop));
    const auto hits = Searcher(*catalog).search(Query::vector(vector), {.k = 1});
    if (!hits.empty()) key = hits[0].key;
  });
  if (key != key_of(item)) throw std::runtime_error("the first answer was wrong: " + key);
  return spent;
}

void measure_opening(const fs::path& shop, const Embeddings& embeddings, std::uint64_t items) {
  std::uint64_t item = 17;
  const double clean =
      median_seconds(5, [&] { static_cast<void>(open_seconds(shop, embeddings, ++item)); });
  std::vector<double> after_crash;
  for (int round = 0; round < 3; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      vsearch::CatalogOptions options;
      options.snapshot_changes = 0;
      Catalog catalog = Catalog::open(shop, options);
      double ignored = 0;
      add(catalog, embeddings, items + kChanges * round, kChanges, ignored);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) throw std::runtime_error("the child failed");
    after_crash.push_back(open_seconds(shop, embeddings, items + kChanges * round));
  }
  tell({{"what", "open"},
        {"items", items},
        {"s", clean},
        {"after_crash_s", median(std::move(after_crash))},
        {"changes", kChanges}});
}

void measure_care(Catalog& catalog, const fs::path& folder, std::uint64_t items) {
  std::uint64_t seen = 0;
  const double visit = seconds([&] {
    catalog.for_each([&](const vsearch::ItemRecord&) {
      ++seen;
      return true;
    });
  });
  const double info = median_seconds(3, [&] { static_cast<void>(catalog.info()); });
  const double snapshot = seconds([&] { catalog.save_snapshot(); });
  const double backup = seconds([&] { catalog.backup(folder / "backup"); });
  std::size_t faults = 0;
  const double check = seconds([&] { faults = catalog.check().faults.size(); });
  tell({{"what", "care"},
        {"items", items},
        {"visit_items_a_second", static_cast<double>(seen) / visit},
        {"info_ms", 1e3 * info},
        {"snapshot_s", snapshot},
        {"backup_s", backup},
        {"check_s", check},
        {"faults", faults}});
}

void measure_catalog(const fs::path& folder, std::uint64_t items) {
  const Embeddings embeddings;
  const fs::path shop = folder / "shop";
  vsearch::CatalogCreateOptions options;
  options.encoder = std::make_shared<WideEncoder>();
  options.encoder_ref = "fake";
  {
    Catalog catalog = Catalog::create(shop, options);
    fill(catalog, embeddings, items);
    measure_filters(catalog, items);
    measure_patches(catalog, items);
  }
  measure_sizes(Catalog::open(shop), shop, items);
  measure_opening(shop, embeddings, items);
  Catalog catalog = Catalog::open(shop);
  measure_care(catalog, folder, items);
}

}  // namespace

Embeddings::Embeddings() : turn_(kDim * kLatent), centres_(kClusters * kLatent) {
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal;
  for (float& value : turn_) value = normal(random) / std::sqrt(static_cast<float>(kLatent));
  for (float& value : centres_) value = normal(random);
}

std::vector<float> Embeddings::of(std::uint64_t item) const {
  std::mt19937_64 random(item * 0x9E3779B97F4A7C15ULL + 3);
  std::normal_distribution<float> normal;
  // Of clusters the first are the largest.
  const double draw = std::generate_canonical<double, 53>(random);
  const auto cluster = static_cast<std::size_t>(draw * draw * kClusters);
  std::vector<float> latent(kLatent);
  for (std::size_t i = 0; i < kLatent; ++i) {
    latent[i] = centres_[cluster * kLatent + i] + 0.4F * normal(random);
  }
  std::vector<float> vector(kDim);
  for (std::size_t d = 0; d < kDim; ++d) {
    float sum = 0.05F * normal(random);
    for (std::size_t i = 0; i < kLatent; ++i) sum += turn_[d * kLatent + i] * latent[i];
    vector[d] = sum;
  }
  return vector;
}

std::string metadata_of(std::uint64_t item) {
  const std::uint64_t mixed = (item + 1) * 0x9E3779B97F4A7C15ULL;
  return fmt::format(
      R"({{"colour":"colour {}","maker":"maker {}","price":{}.{:02},"tags":["tag {}","tag {}"],"title":"An item of the shop, number {}"}})",
      mixed >> 20 & 7, mixed >> 24 & 63, (mixed >> 32) % 100, (mixed >> 40) % 100, mixed >> 48 & 15,
      16 + (mixed >> 52 & 15), item);
}

}  // namespace vsearch_bench

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: catalog_bench FOLDER ITEMS FILES\n", stderr);
    return 2;
  }
  try {
    const std::filesystem::path folder = argv[1];
    const std::uint64_t items = std::strtoull(argv[2], nullptr, 10);
    const std::uint64_t files = std::strtoull(argv[3], nullptr, 10);
    std::filesystem::create_directories(folder);
    vsearch_bench::measure_store(folder, items);
    vsearch_bench::measure_catalog(folder, items);
    if (files > 0) vsearch_bench::measure_files(folder, files);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "catalog_bench: %s\n", e.what());
    return 1;
  }
}
