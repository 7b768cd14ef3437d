// Sixteen threads on one catalogue: of a hundred calls seventy search, twenty add or replace items
// and ten remove some, so that it grows, while one thread more saves snapshots, changes metadata
// and asks for this and that. Whatever a search shows is checked against what must be there
// (torture_truth.h).
//
//   catalog_torture [SECONDS]   60 unless given; seeds are fixed, the order of threads is not
//
// Ends with its figures, and with status 1 if anything was wrong.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "faults/complaints.h"
#include "faults/torture_truth.h"
#include "faults/watchdog.h"
#include "support/bmp.h"
#include "support/temp_dir.h"
#include "vsearch/catalog.h"
#include "vsearch/error.h"
#include "vsearch/searcher.h"

namespace {

using vsearch::Catalog;
using vsearch::Filter;
using vsearch::Hit;
using vsearch::ImageView;
using vsearch::Item;
using vsearch::Matrix;
using vsearch::Query;
using vsearch::QueryOptions;
using vsearch::Searcher;
using vsearch_test::Complaints;
using vsearch_test::Random;
using vsearch_test::Truth;
using vsearch_test::Watchdog;
using Clock = std::chrono::steady_clock;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kItemsPerWorker = 150;
#else
constexpr std::size_t kItemsPerWorker = 2000;
#endif
constexpr std::size_t kWorkers = 16;
constexpr std::size_t kKeeper = kWorkers;  // the thread that saves snapshots and so on
constexpr std::size_t kItems = kWorkers * kItemsPerWorker;  // that there may be
constexpr std::size_t kAtFirst = kItems / 8;
constexpr std::size_t kPictures = 2;  // places an item has for them
constexpr std::size_t kGroups = 10;   // a field of the metadata
constexpr std::uint32_t kDim = 64;

// One call may take so long before the run is given up: a deadlock takes for ever.
constexpr std::chrono::seconds kLimit{120};

vsearch::IndexOptions index_options() {
  vsearch::IndexOptions options;
  options.dim = kDim;
  return options;
}

// Two numbers on a picture, and what they stand for as its embedding.
std::vector<std::byte> picture_of(std::size_t place, std::uint32_t change) {
  const std::array<std::size_t, 2> numbers{place, change};
  std::array<std::uint8_t, sizeof numbers> bytes{};
  std::memcpy(bytes.data(), numbers.data(), sizeof numbers);
  return vsearch_test::bmp(sizeof numbers, 1, [&](std::uint32_t x, std::uint32_t) {
    return vsearch_test::Rgb{bytes[x], bytes[x], bytes[x]};
  });
}

class NumberEncoder : public vsearch::Encoder {
 public:
  explicit NumberEncoder(const Truth& truth) : truth_(truth) {
    info_.name = "numbers";
    info_.fingerprint = std::string(64, 'a');
    info_.dim = kDim;
  }
  const vsearch::EncoderInfo& info() const override { return info_; }
  Matrix encode(std::span<const ImageView> images, const vsearch::Progress&) const override {
    Matrix result(images.size(), kDim);
    for (std::size_t i = 0; i < images.size(); ++i) {
      std::array<std::size_t, 2> numbers{};
      std::array<std::uint8_t, sizeof numbers> bytes{};
      for (std::size_t x = 0; x < bytes.size(); ++x) bytes[x] = images[i].data[x * 3];
      std::memcpy(numbers.data(), bytes.data(), sizeof numbers);
      const auto vector = truth_.vector(numbers[0], static_cast<std::uint32_t>(numbers[1]));
      std::ranges::copy(vector, result.row(i).begin());
    }
    return result;
  }

 private:
  const Truth& truth_;
  vsearch::EncoderInfo info_;
};

class Torture {
 public:
  explicit Torture(std::chrono::duration<double> duration)
      : duration_(duration),
        truth_(kSeed, index_options(), kItems * kPictures),
        encoder_(std::make_shared<NumberEncoder>(truth_)),
        catalog_(Catalog::create(folder_ / "shop", create_options(encoder_))) {
    Random random(kSeed);
    for (std::size_t worker = 0; worker < kWorkers; ++worker) {
      std::vector<std::size_t> items;
      for (std::size_t i = 0; i < kAtFirst / kWorkers; ++i) items.push_back(i * kWorkers + worker);
      add(items, random);
    }
    pictures_at_first_ = catalog_.info().pictures;
    for (const Work& work : kWork) weights_ += work.weight;
  }

  void run() {
    begin_ = Clock::now();
    {
      Watchdog watchdog(kWorkers + 1, kLimit);
      std::vector<std::jthread> threads;
      for (std::size_t t = 0; t <= kKeeper; ++t) {
        threads.emplace_back([&, t] {
          Random random(kSeed * 1000 + t);
          try {
            while (Clock::now() - begin_ < duration_) {
              t == kKeeper ? keep(random, watchdog) : work(t, random, watchdog);
            }
          } catch (const std::exception& error) {
            complaints_.note(std::string("an exception: ") + error.what());
          }
          watchdog.begin(t, "nothing more");
        });
      }
    }
    took_ = Clock::now() - begin_;
    finish();
  }

  // True if nothing was wrong.
  bool report() {
    const double seconds = std::chrono::duration<double>(took_).count();
    std::printf("16 threads for %.0f s, a second: ", seconds);
    for (std::size_t i = 0; i < kWork.size(); ++i) {
      std::printf("%.0f %s, ", static_cast<double>(calls_[i]) / seconds, kWork[i].name);
    }
    std::printf("%.1f by the keeper (%llu snapshots)\n", static_cast<double>(kept_) / seconds,
                static_cast<unsigned long long>(snapshots_));
    const vsearch::CatalogInfo info = catalog_.info();
    std::printf(
        "from %llu pictures to %llu of %llu items; %llu hits checked, %llu items added, "
        "%llu removed\n",
        static_cast<unsigned long long>(pictures_at_first_),
        static_cast<unsigned long long>(info.pictures), static_cast<unsigned long long>(info.items),
        static_cast<unsigned long long>(hits_), static_cast<unsigned long long>(added_),
        static_cast<unsigned long long>(removed_));
    complaints_.print();
    std::printf("catalog torture: recall@10 %.4f at the end, %zu violations\n", recall_,
                complaints_.count());
    return complaints_.count() == 0;
  }

 private:
  static constexpr std::uint64_t kSeed = 6;

  struct Work {
    const char* name;
    std::size_t weight;
    void (Torture::*run)(std::size_t worker, Random& random);
  };
  static const std::array<Work, 3> kWork;
  struct Keeping {
    const char* name;
    void (Torture::*run)(Random& random);
  };
  static const std::array<Keeping, 3> kKeeping;

  static vsearch::CatalogCreateOptions create_options(std::shared_ptr<vsearch::Encoder> encoder) {
    vsearch::CatalogCreateOptions options;
    options.encoder = std::move(encoder);
    options.encoder_ref = "numbers";
    options.build_breadth = 80;
    return options;
  }

  // ---- Items. Each belongs to a worker; what happens to it happens to its two places in truth_.

  static std::string key(std::size_t item) { return "item " + std::to_string(item); }
  // Nothing: no key of ours.
  static std::optional<std::size_t> number(const std::string& key) {
    if (!key.starts_with("item ")) return std::nullopt;
    const std::size_t item = std::stoull(key.substr(5));
    return item < kItems ? std::optional(item) : std::nullopt;
  }
  static std::size_t place(std::size_t item, std::size_t picture) {
    return item * kPictures + picture;
  }
  static std::size_t pictures_of(std::size_t item) { return item % 3 == 0 ? kPictures : 1; }
  static std::string metadata(std::size_t item) {
    return R"({"group":)" + std::to_string(item % kGroups) + R"(,"item":)" + std::to_string(item) +
           "}";
  }

  void begin(std::size_t item, bool present) {
    for (std::size_t i = 0; i < kPictures; ++i) truth_.begin(place(item, i), present);
  }
  void finish(std::size_t item) {
    for (std::size_t i = 0; i < kPictures; ++i) truth_.finish(place(item, i));
  }
  bool is_there(std::size_t item) const { return truth_.finished(place(item, 0)).present; }

  std::vector<std::size_t> some_of(std::size_t worker, std::size_t most, Random& random) const {
    std::set<std::size_t> items;
    for (std::size_t n = 1 + random.below(most); n > 0; --n) {
      items.insert(random.below(kItemsPerWorker) * kWorkers + worker);
    }
    return {items.begin(), items.end()};
  }

  // ---- What the workers do

  void work(std::size_t worker, Random& random, Watchdog& watchdog) {
    std::size_t dice = random.below(weights_);
    std::size_t chosen = 0;
    for (; dice >= kWork[chosen].weight; ++chosen) dice -= kWork[chosen].weight;
    watchdog.begin(worker, kWork[chosen].name);
    (this->*kWork[chosen].run)(worker, random);
    ++calls_[chosen];
  }

  void add_some(std::size_t worker, Random& random) {
    add(some_of(worker, random.below(8) == 0 ? 100 : 8, random), random);
  }

  void add(const std::vector<std::size_t>& numbers, Random& random) {
    std::vector<std::vector<float>> embeddings;
    std::vector<std::vector<std::byte>> files;
    embeddings.reserve(numbers.size() * kPictures);  // what is in them is borrowed
    files.reserve(numbers.size() * kPictures);
    std::vector<Item> items;
    for (const std::size_t number : numbers) {
      begin(number, true);
      Item& item = items.emplace_back(Item{key(number), {}, metadata(number)});
      for (std::size_t i = 0; i < pictures_of(number); ++i) {
        const std::size_t at = place(number, i);
        const std::uint32_t change = truth_.begun(at).change;
        vsearch::Picture& picture = item.pictures.emplace_back();
        if (random.below(2) == 0) {
          picture.bytes = files.emplace_back(picture_of(at, change));
        } else {
          picture.embedding = embeddings.emplace_back(truth_.vector(at, change));
        }
      }
    }
    const vsearch::AddReport report = catalog_.add(items);
    for (const auto& failure : report.failures) complaints_.note("not added: " + failure.message);
    for (const std::size_t number : numbers) finish(number);
    added_ += numbers.size();
    const std::size_t one = numbers[random.below(numbers.size())];
    if (!catalog_.get(key(one))) complaints_.note("what was added is not there");
  }

  void remove_some(std::size_t worker, Random& random) {
    const auto numbers = some_of(worker, random.below(8) == 0 ? 40 : 6, random);
    std::vector<std::string> keys;
    std::size_t absent = 0;
    for (const std::size_t number : numbers) {
      absent += is_there(number) ? 0 : 1;
      begin(number, false);
      keys.push_back(key(number));
    }
    if (catalog_.remove(keys).size() != absent) {
      complaints_.note("remove() is wrong about which items were there");
    }
    for (const std::size_t number : numbers) finish(number);
    removed_ += numbers.size() - absent;
    if (catalog_.get(keys[0])) complaints_.note("what was removed is still there");
  }

  std::vector<float> query(Random& random) const {
    const std::size_t at = random.below(truth_.size());
    return truth_.vector(at, truth_.begun(at).change + static_cast<std::uint32_t>(random.below(3)));
  }

  void search(std::size_t, Random& random) {
    QueryOptions options;
    options.k = 1 + static_cast<std::uint32_t>(random.below(20));
    options.exact = random.below(16) == 0;
    const std::size_t group = random.below(kGroups);
    const bool filtered = random.below(16) == 0;
    if (filtered) options.where = Filter::parse("group = " + std::to_string(group));
    const Searcher searcher(catalog_);
    const std::vector<float> asked = query(random);
    const std::size_t like = random.below(kItems);
    const bool by_item = random.below(8) == 0 && is_there(like);

    const std::vector<Truth::State> before = truth_.all_finished();
    std::vector<Hit> hits;
    try {
      hits = searcher.search(by_item ? Query::like(key(like)) : Query::vector(asked), options);
    } catch (const vsearch::Error& error) {
      // It may be removed at any time.
      if (!by_item || error.code() != vsearch::ErrorCode::kKeyNotFound) throw;
      if (truth_.unchanged(place(like, 0), before[place(like, 0)])) {
        complaints_.note("an item is unknown though nobody touched it");
      }
      return;
    }
    hits_ += hits.size();
    std::set<std::string> seen;
    for (const Hit& hit : hits) {
      const std::optional<std::size_t> item = number(hit.key);
      if (!item || !hit.metadata.starts_with(R"({"group":)" + std::to_string(*item % kGroups))) {
        complaints_.note("a hit that is no item of ours, or has another one's metadata");
        continue;
      }
      if (by_item && *item == like) complaints_.note("an item was found to be like itself");
      if (filtered && *item % kGroups != group) complaints_.note("a hit that does not match");
      if (!seen.insert(hit.key).second) complaints_.note("an item was found twice");
      if (by_item ? !may_be_there(*item, before) : !may_be_found(*item, hit, asked, before)) {
        complaints_.note(before[place(*item, 0)].present
                             ? "an item was found at a distance that it never had meanwhile"
                             : "an item was found that had been removed before");
      }
    }
    if (!std::ranges::is_sorted(hits, {}, &Hit::distance)) complaints_.note("hits out of order");
    if (hits.size() > options.k) complaints_.note("more than k hits");
    if (hits.size() < options.k && !filtered) complaints_.note("fewer than k hits");
  }

  bool may_be_there(std::size_t item, const std::vector<Truth::State>& before) const {
    const Truth::State state = before[place(item, 0)];
    return state.present || !truth_.unchanged(place(item, 0), state);
  }
  bool may_be_found(std::size_t item, const Hit& hit, std::span<const float> asked,
                    const std::vector<Truth::State>& before) const {
    for (std::size_t i = 0; i < pictures_of(item); ++i) {
      const std::size_t at = place(item, i);
      if (truth_.may_be_found(at, hit.distance, asked, before[at])) return true;
    }
    return false;
  }

  // ---- What the keeper does

  void keep(Random& random, Watchdog& watchdog) {
    const Keeping& keeping = kKeeping[kept_++ % kKeeping.size()];
    watchdog.begin(kKeeper, keeping.name);
    (this->*keeping.run)(random);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }

  void save_snapshot(Random&) {
    catalog_.save_snapshot();
    ++snapshots_;
  }

  // Those of any worker, at the same time.
  void patch_some(Random& random) {
    std::vector<vsearch::MetadataPatch> patches;
    for (int i = 0; i < 20; ++i) {
      patches.push_back(
          {key(random.below(kItems)), R"({"seen":)" + std::to_string(random.below(1000)) + "}"});
    }
    catalog_.patch(patches);
  }

  void ask(Random& random) {
    const vsearch::CatalogInfo info = catalog_.info();
    if (info.items > kItems || info.pictures < info.items || catalog_.keys().size() > kItems) {
      complaints_.note("info() does not add up");
    }
    const std::string group = std::to_string(random.below(kGroups));
    const vsearch::IdFilter matching = catalog_.match(Filter::parse("group = " + group));
    for (const auto& picture : catalog_.pictures(matching.ids())) {
      if (!picture.metadata.starts_with(R"({"group":)" + group)) {
        complaints_.note("match() gives pictures that do not match");
      }
    }
  }

  // ---- The end: alone with the catalogue

  void finish() {
    std::size_t items = 0;
    std::size_t pictures = 0;
    for (std::size_t item = 0; item < kItems; ++item) {
      items += is_there(item) ? 1 : 0;
      pictures += is_there(item) ? pictures_of(item) : 0;
      if (catalog_.get(key(item)).has_value() != is_there(item)) {
        complaints_.note("at the end other items are there than should be");
      }
    }
    if (catalog_.serving()->index().size() != pictures || catalog_.info().pictures != pictures ||
        catalog_.keys().size() != items) {
      complaints_.note("at the end there are more or fewer pictures than there should be");
    }
    if (pictures <= pictures_at_first_) complaints_.note("it did not grow");
    Random random(kSeed + 1);
    const Searcher searcher(catalog_);
    QueryOptions exactly;
    exactly.exact = true;
    std::size_t found = 0;
    std::size_t wanted = 0;
    for (int i = 0; i < 500; ++i) {
      const std::vector<float> asked = query(random);
      std::set<std::string> truth;
      for (const Hit& hit : searcher.search(Query::vector(asked), exactly)) truth.insert(hit.key);
      wanted += truth.size();
      for (const Hit& hit : searcher.search(Query::vector(asked))) found += truth.count(hit.key);
    }
    recall_ = static_cast<double>(found) / static_cast<double>(wanted);
    if (!(recall_ >= 0.95)) complaints_.note("recall@10 is below .95 at the end");
  }

  const std::chrono::duration<double> duration_;
  Clock::time_point begin_;
  Clock::duration took_{};
  const vsearch_test::TempDir folder_;
  Truth truth_;
  const std::shared_ptr<NumberEncoder> encoder_;
  Catalog catalog_;
  Complaints complaints_;
  std::size_t weights_ = 0;
  std::uint64_t pictures_at_first_ = 0;
  double recall_ = 0;

  std::array<std::atomic<std::uint64_t>, std::tuple_size_v<decltype(kWork)>> calls_{};
  std::atomic<std::uint64_t> hits_{0};
  std::atomic<std::uint64_t> added_{0};
  std::atomic<std::uint64_t> removed_{0};
  std::uint64_t kept_ = 0;       // of the keeper's thread
  std::uint64_t snapshots_ = 0;  // likewise
};

const std::array<Torture::Work, 3> Torture::kWork{{
    {"searches", 70, &Torture::search},
    {"adds", 20, &Torture::add_some},
    {"removes", 10, &Torture::remove_some},
}};
const std::array<Torture::Keeping, 3> Torture::kKeeping{{
    {"saving a snapshot", &Torture::save_snapshot},
    {"changing metadata", &Torture::patch_some},
    {"asking", &Torture::ask},
}};

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 60;
  if (argc > 2 || !(seconds > 0)) {
    std::fprintf(stderr, "usage: catalog_torture [SECONDS]\n");
    return 2;
  }
  Torture torture{std::chrono::duration<double>(seconds)};
  torture.run();
  return torture.report() ? 0 : 1;
}
