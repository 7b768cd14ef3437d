#include "faults/catalog_workload.h"

#include <sqlite3.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "support/bmp.h"
#include "support/fake_encoder.h"
#include "vsearch/searcher.h"

namespace vsearch_test {
namespace {

using vsearch::Item;
using Run = std::function<void(Shop&)>;

// ---- pictures and encoders

constexpr std::uint32_t kDim = FakeEncoder::kDim;
constexpr std::size_t kEncoders = 4;  // then the first one comes again

// One pixel for each cell that the encoder looks at.
std::vector<std::uint8_t> colours_of(std::uint64_t picture) {
  Random random(picture * 7919 + 1);
  std::vector<std::uint8_t> result(kDim);
  std::ranges::generate(result, [&] { return static_cast<std::uint8_t>(random.below(256)); });
  return result;
}

std::vector<std::byte> file_of(std::uint64_t picture) {
  const std::vector<std::uint8_t> colours = colours_of(picture);
  return bmp(FakeEncoder::kGrid, FakeEncoder::kGrid, [&](std::uint32_t x, std::uint32_t y) {
    const std::size_t at = 3 * (std::size_t{y} * FakeEncoder::kGrid + x);
    return Rgb{colours[at], colours[at + 1], colours[at + 2]};
  });
}

std::string encoder_name(std::size_t encoder) {
  return "fake-" + std::to_string(encoder);
}

// Says the same as the fake encoder, each in another order.
class TurnedEncoder : public FakeEncoder {
 public:
  explicit TurnedEncoder(std::size_t number)
      : FakeEncoder(std::string(64, static_cast<char>('a' + number))), number_(number) {}

  vsearch::Matrix encode(std::span<const vsearch::ImageView> images,
                         const vsearch::Progress& progress = {}) const override {
    vsearch::Matrix result = FakeEncoder::encode(images, progress);
    for (std::size_t i = 0; i < result.rows; ++i) turn(result.row(i), number_);
    return result;
  }
  static void turn(std::span<float> embedding, std::size_t number) {
    std::ranges::rotate(embedding, embedding.begin() + static_cast<std::ptrdiff_t>(number * 7));
  }

 private:
  const std::size_t number_;
};

std::shared_ptr<vsearch::Encoder> load_encoder(const std::string& name) {
  return std::make_shared<TurnedEncoder>(std::stoul(name.substr(name.find('-') + 1)));
}

// ---- what can be done to a catalogue

// What is given to the catalogue is ready beforehand: a test may count what is asked of the memory.
Run put_items(const std::map<std::string, ExpectedItem>& items) {
  struct Given {
    std::vector<std::vector<std::byte>> files;
    std::vector<Item> items;
  };
  const auto given = std::make_shared<Given>();
  for (const auto& [key, item] : items) {
    for (const std::uint64_t picture : item.pictures) given->files.push_back(file_of(picture));
  }
  auto file = given->files.begin();
  for (const auto& [key, item] : items) {
    Item& one = given->items.emplace_back();
    one.key = key;
    one.metadata = item.metadata;
    for (std::size_t i = 0; i < item.pictures.size(); ++i) {
      vsearch::Picture& picture = one.pictures.emplace_back();
      picture.bytes = *file++;
      picture.keep_bytes = true;
    }
  }
  return [given](Shop& shop) {
    const vsearch::AddReport report = shop.catalog().add(given->items);
    if (!report.failures.empty()) {
      throw vsearch::Error(report.failures[0].code, report.failures[0].message);
    }
  };
}

Run put(Workload& plan) {
  const std::map<std::string, ExpectedItem> items{{plan.new_key(), plan.new_item()}};
  plan.now.items.insert(items.begin(), items.end());
  return put_items(items);
}

Run put_many(Workload& plan) {
  std::map<std::string, ExpectedItem> items;
  for (std::size_t i = 0; i < 12; ++i) items[plan.new_key()] = plan.new_item();
  plan.now.items.insert(items.begin(), items.end());
  return put_items(items);
}

// Some items with other pictures and other metadata, and one that is new.
Run replace(Workload& plan) {
  std::map<std::string, ExpectedItem> items;
  for (const std::string& key : plan.some_keys(4)) items[key] = plan.new_item();
  items[plan.new_key()] = plan.new_item();
  for (const auto& [key, item] : items) plan.now.items[key] = item;
  return put_items(items);
}

Run patch(Workload& plan) {
  std::vector<vsearch::MetadataPatch> patches;
  for (const std::string& key : plan.some_keys(6)) {
    nlohmann::json changes{{"price", plan.random.below(1000)}, {"gone", nullptr}};
    ExpectedItem& item = plan.now.items[key];
    auto metadata = nlohmann::json::parse(item.metadata);
    metadata.merge_patch(changes);
    item.metadata = metadata.dump();
    patches.push_back({key, changes.dump()});
  }
  return [patches](Shop& shop) { shop.catalog().patch(patches); };
}

Run remove(Workload& plan) {
  const std::vector<std::string> keys = plan.some_keys(5);
  for (const std::string& key : keys) plan.now.items.erase(key);
  return [keys](Shop& shop) { shop.catalog().remove(keys); };
}

Run save_snapshot(Workload&) {
  return [](Shop& shop) { shop.catalog().save_snapshot(); };
}

// All pictures by the next encoder; of every other one the edition before is kept.
Run reencode(Workload& plan) {
  plan.now.encoder = (plan.now.encoder + 1) % kEncoders;
  vsearch::ReencodeOptions options;
  options.encoder_ref = encoder_name(plan.now.encoder);
  options.keep_old = plan.now.encoder % 2 == 0;
  const auto encoder = load_encoder(options.encoder_ref);
  return [encoder, options](Shop& shop) {
    if (shop.catalog().info().encoder_fingerprint == encoder->info().fingerprint) return;
    const vsearch::ReencodeReport report = shop.catalog().reencode(encoder, options);
    if (!report.switched) throw std::runtime_error("not switched: " + report.refusal);
  };
}

Run compact(Workload&) {
  return [](Shop& shop) { shop.catalog().compact(); };
}

Run reopen(Workload&) {
  return [](Shop& shop) {
    shop.close();
    shop.open();
  };
}

struct Kind {
  std::string_view name;
  std::size_t weight;
  Run (*plan)(Workload&);
};

constexpr Kind kKinds[] = {
    {"put many", 5, put_many}, {"put", 30, put},          {"replace", 20, replace},
    {"patch", 20, patch},      {"remove", 15, remove},    {"snapshot", 7, save_snapshot},
    {"reopen", 1, reopen},     {"reencode", 1, reencode}, {"compact", 1, compact},
};

}  // namespace

std::vector<float> embedding_of(std::uint64_t picture, std::size_t encoder) {
  std::vector<float> result;
  double squares = 0;
  for (const std::uint8_t colour : colours_of(picture)) {
    result.push_back(static_cast<float>(colour) / 255.0F + 0.01F);
    squares += double{result.back()} * result.back();
  }
  for (float& value : result) value /= static_cast<float>(std::sqrt(squares));
  TurnedEncoder::turn(result, encoder);
  return result;
}

Shop::Shop(std::filesystem::path path, std::uint64_t snapshot_changes)
    : path_(std::move(path)), snapshot_changes_(snapshot_changes) {
  create_.encoder_ref = encoder_name(0);
  create_.encoder = load_encoder(create_.encoder_ref);
}

void Shop::create() {
  if (exists()) return open();
  catalog_.emplace(vsearch::Catalog::create(path_, create_));
}

void Shop::open() {
  if (catalog_) return;
  vsearch::CatalogOptions options;
  options.encoder_loader = load_encoder;
  options.snapshot_changes = snapshot_changes_;
  catalog_.emplace(vsearch::Catalog::open(path_, options));
}

Workload::Workload(std::uint64_t seed) : random(seed) {
  steps_.push_back({"create", [](Shop& shop) { shop.create(); }, {}});
}

std::vector<std::string_view> Workload::kinds() {
  std::vector<std::string_view> names;
  for (const Kind& kind : kKinds) names.push_back(kind.name);
  return names;
}

void Workload::add(std::string_view name) {
  const auto* const kind = std::ranges::find(kKinds, name, &Kind::name);
  if (kind == std::end(kKinds)) throw std::invalid_argument("no such kind of step");
  Run run = kind->plan(*this);
  steps_.push_back({std::string(name), std::move(run), now});
}

void Workload::add_random() {
  std::size_t all = 0;
  for (const Kind& kind : kKinds) all += kind.weight;
  std::size_t dice = random.below(all);
  const Kind* kind = kKinds;
  while (dice >= kind->weight) dice -= kind++->weight;
  add(kind->name);
}

std::vector<std::string> Workload::some_keys(std::size_t most) {
  std::set<std::string> keys;
  for (std::size_t i = 0; i < most && !now.items.empty(); ++i) {
    const auto at = static_cast<std::ptrdiff_t>(random.below(now.items.size()));
    keys.insert(std::next(now.items.begin(), at)->first);
  }
  return {keys.begin(), keys.end()};
}

ExpectedItem Workload::new_item() {
  ExpectedItem item;
  // Texts of several lengths, so that pages of the database are split and merged, and some
  // overflow.
  const nlohmann::json metadata{
      {"gone", true},
      {"price", random.below(1000)},
      {"text", std::string(random.below(2) == 0 ? random.below(100) : random.below(6000), 'x')}};
  item.metadata = metadata.dump();
  for (std::size_t i = 1 + random.below(3); i > 0; --i) item.pictures.push_back(next_picture_++);
  return item;
}

namespace {

// Whether what the index holds is the embedding of the picture.
bool same_embedding(std::span<const float> stored, std::uint64_t picture, std::size_t encoder) {
  const std::vector<float> given = embedding_of(picture, encoder);
  double squares = 0;
  for (std::size_t i = 0; i < given.size(); ++i) {
    squares += (double{stored[i]} - given[i]) * (double{stored[i]} - given[i]);
  }
  return squares <= 1e-6;
}

// What is wrong with the item that was found under its key; empty if nothing is.
std::string fault_of(const vsearch::Catalog& catalog, const vsearch::ItemRecord& record,
                     const ExpectedItem& expected, std::size_t encoder) {
  if (nlohmann::json::parse(record.metadata) != nlohmann::json::parse(expected.metadata)) {
    return "has other metadata: " + record.metadata + ", not " + expected.metadata;
  }
  if (record.pictures.size() != expected.pictures.size()) return "has other pictures";
  const auto serving = catalog.serving();
  for (std::size_t i = 0; i < expected.pictures.size(); ++i) {
    if (!serving->index().contains(record.pictures[i].id)) return "is not in the index";
    if (!same_embedding(serving->index().vector(record.pictures[i].id), expected.pictures[i],
                        encoder)) {
      return "has another embedding";
    }
  }
  return {};
}

}  // namespace

Difference difference(const vsearch::Catalog& catalog, const Expectation& expected,
                      std::size_t searches) {
  Difference result;
  const auto note = [&](std::size_t& count, const std::string& what) {
    ++count;
    if (result.first.empty()) result.first = what;
  };
  std::size_t pictures = 0;
  std::size_t found = 0;
  for (const auto& [key, item] : expected.items) {
    pictures += item.pictures.size();
    const std::optional<vsearch::ItemRecord> record = catalog.get(key);
    if (!record) {
      note(result.lost, key + " is not there");
      continue;
    }
    ++found;
    const std::string fault = fault_of(catalog, *record, item, expected.encoder);
    if (!fault.empty()) note(result.lost, key + " " + fault);
  }
  const std::vector<std::string> keys = catalog.keys();
  for (const std::string& key : keys) {
    if (!expected.items.contains(key)) note(result.back, key + " is there and must not be");
  }
  if (result.lost + result.back > 0) return result;
  const vsearch::CatalogInfo info = catalog.info();
  if (keys.size() != found || info.items != found || info.pictures != pictures ||
      catalog.serving()->index().size() != pictures) {
    note(result.other, "the numbers of items, pictures and vectors do not fit together");
  }
  const vsearch::Searcher searcher(catalog);
  const std::size_t every =
      std::max<std::size_t>(1, expected.items.size() / std::max<std::size_t>(1, searches));
  std::size_t number = 0;
  for (const auto& [key, item] : expected.items) {
    if (searches == 0 || number++ % every != 0) continue;
    const std::vector<float> embedding = embedding_of(item.pictures.back(), expected.encoder);
    const auto hits = searcher.search(vsearch::Query::vector(embedding));
    if (hits.empty() || hits[0].key != key) note(result.other, "a search does not find " + key);
  }
  return result;
}

std::string integrity(const std::filesystem::path& catalog) {
  sqlite3* database = nullptr;
  sqlite3_stmt* statement = nullptr;
  std::string said;
  const std::string file = (catalog / "catalog.db").string();
  if (sqlite3_open_v2(file.c_str(), &database, SQLITE_OPEN_READWRITE, nullptr) != SQLITE_OK ||
      sqlite3_prepare_v2(database,
                         "SELECT integrity_check FROM pragma_integrity_check UNION ALL "
                         "SELECT 'foreign key: ' || \"table\" FROM pragma_foreign_key_check",
                         -1, &statement, nullptr) != SQLITE_OK) {
    said = sqlite3_errmsg(database);
  }
  while (said.empty() || said == "ok") {
    const int result = sqlite3_step(statement);
    if (result == SQLITE_DONE) break;
    said = result == SQLITE_ROW ? reinterpret_cast<const char*>(sqlite3_column_text(statement, 0))
                                : sqlite3_errmsg(database);
  }
  sqlite3_finalize(statement);
  sqlite3_close(database);
  return said;
}

}  // namespace vsearch_test
