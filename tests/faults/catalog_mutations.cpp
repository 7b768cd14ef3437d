// Damaged files. Of a small index snapshot every truncation and every flipped bit must be noticed,
// and the index that is then built anew must answer as the old one did. A damaged catalog.db, or
// its log, is opened or refused with an error that says so, and what was opened can be read or says
// the same: no crash, no hang, nothing else that is thrown.
//
//   catalog_mutations [COUNT [FIRST]]   10,000 mutations of catalog.db unless given. With FIRST,
//   the
//                                       number of a mutation, these alone, from that on.
//
// Ends with its figures, and with status 1 if anything was wrong.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "faults/file_damage.h"
#include "faults/watchdog.h"
#include "support/bmp.h"
#include "support/fake_encoder.h"
#include "support/sanitized.h"
#include "support/temp_dir.h"
#include "support/vectors.h"
#include "vsearch/catalog.h"
#include "vsearch/error.h"
#include "vsearch/searcher.h"

namespace {

namespace fs = std::filesystem;
using vsearch::Catalog;
using vsearch::Error;
using vsearch::ErrorCode;
using vsearch::Filter;
using vsearch::Hit;
using vsearch::Index;
using vsearch::Item;
using vsearch::Matrix;
using vsearch::Query;
using vsearch::QueryOptions;
using vsearch::Searcher;
using vsearch_test::Random;
using vsearch_test::TempDir;

using vsearch_test::kSanitized;

constexpr std::size_t kBitStep = kSanitized ? 5 : 1;
// Damaged snapshots with which the catalogue is opened.
constexpr std::size_t kOpened = kSanitized ? 100 : 500;
constexpr std::chrono::seconds kLimit{60};  // for one mutation

// In memory, where there is such a folder: nothing here is about disks, which take their time.
fs::path folder_in_memory() {
  const fs::path memory = "/dev/shm";
  return access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path();
}

// ---- A catalogue of few items

// Of fewer dimensions: the snapshot is smaller.
class SmallEncoder : public vsearch_test::FakeEncoder {
 public:
  explicit SmallEncoder(std::uint32_t dim) : info_(FakeEncoder::info()) { info_.dim = dim; }
  const vsearch::EncoderInfo& info() const override { return info_; }

 private:
  vsearch::EncoderInfo info_;
};

Catalog create(const fs::path& path, std::uint32_t dim) {
  vsearch::CatalogCreateOptions options;
  options.encoder = std::make_shared<SmallEncoder>(dim);
  options.encoder_ref = "fake-grid";
  options.links = 4;
  return Catalog::create(path, options);
}

std::vector<float> vector_of(std::uint64_t seed, std::uint32_t dim) {
  Random random(seed);
  std::vector<float> vector(dim);
  std::ranges::generate(vector, [&] { return random.normal(); });
  return vector;
}

// Adds the items [first, last): some have several pictures, some metadata longer than a page.
void fill(Catalog& catalog, std::uint64_t first, std::uint64_t last, std::uint32_t dim) {
  std::vector<std::vector<float>> vectors;
  vectors.reserve((last - first) * 2);
  std::vector<Item> items;
  for (std::uint64_t i = first; i < last; ++i) {
    Item& item = items.emplace_back(Item{std::to_string(i), {}, {}});
    for (std::uint64_t n = 0; n <= i % 2; ++n) {
      vectors.push_back(vector_of(i * 2 + n, dim));
      item.pictures.push_back({std::to_string(i) + ".jpg", {}, vectors.back()});
    }
    item.metadata = R"({"colour":")" + std::string(i % 3 == 0 ? "red" : "blue") + R"(","text":")" +
                    std::string(i % 8 == 0 ? 6000 : i, 'x') + R"(","price":)" + std::to_string(i) +
                    "}";
  }
  if (!catalog.add(items).failures.empty()) throw std::runtime_error("an item was not added");
}

std::vector<std::vector<Hit>> answers(const Catalog& catalog, std::uint32_t dim) {
  const Searcher searcher(catalog);
  std::vector<std::vector<Hit>> result;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const std::vector<float> asked = vector_of(seed * 3, dim);
    QueryOptions options;
    if (seed % 4 == 0) options.where = Filter::parse("colour = 'red' AND price < 15");
    result.push_back(searcher.search(Query::vector(asked), options));
  }
  return result;
}

bool alike(const std::vector<std::vector<Hit>>& a, const std::vector<std::vector<Hit>>& b) {
  const auto same = [](const Hit& x, const Hit& y) {
    return x.key == y.key && x.path == y.path && x.metadata == y.metadata &&
           std::abs(x.distance - y.distance) < 1e-4F;
  };
  return std::ranges::equal(
      a, b, [&](const auto& x, const auto& y) { return std::ranges::equal(x, y, same); });
}

// ---- The snapshot

class SnapshotDamage {
 public:
  SnapshotDamage() {
    Catalog catalog = create(folder_ / "sound", kDim);
    fill(catalog, 0, 20, kDim);
    answers_ = answers(catalog, kDim);
    catalog.save_snapshot();
  }

  // True if nothing was wrong.
  bool run() {
    const std::vector<std::byte> sound =
        vsearch_test::read_file(folder_ / "sound" / "index.snapshot");
    const std::size_t bits = sound.size() * 8 / kBitStep;
    const std::size_t every = std::max<std::size_t>(1, (bits + sound.size()) / kOpened);
    std::size_t unnoticed = 0;
    std::size_t tried = 0;
    const auto look = [&](const fs::path& path, const std::string& what) {
      if (!is_refused(path)) {
        ++unnoticed;
        std::fprintf(stderr, "snapshot: unnoticed: %s\n", what.c_str());
      }
      if (tried++ % every == 0) open_with(path, what);
    };

    const fs::path flipped = folder_ / "flipped";
    vsearch_test::write_file(flipped, sound);
    std::fstream file(flipped, std::ios::binary | std::ios::in | std::ios::out);
    const auto put = [&](std::size_t at, std::byte value) {
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(value));
      file.flush();
    };
    for (std::size_t bit = 0; bit < sound.size() * 8; bit += kBitStep) {
      put(bit / 8, sound[bit / 8] ^ std::byte{1} << bit % 8);
      look(flipped, "bit " + std::to_string(bit % 8) + " of byte " + std::to_string(bit / 8));
      put(bit / 8, sound[bit / 8]);
    }
    const fs::path cut = folder_ / "cut";
    vsearch_test::write_file(cut, sound);
    for (std::size_t length = sound.size(); length-- > 0;) {
      fs::resize_file(cut, length);
      look(cut, "cut to " + std::to_string(length) + " bytes");
    }
    std::printf(
        "snapshot of %zu bytes: %zu flipped bits, %zu truncations: %zu unnoticed; "
        "opened with %zu of them, %zu wrong answers\n",
        sound.size(), bits, sound.size(), unnoticed, opened_, wrong_);
    return unnoticed == 0 && wrong_ == 0 && !is_refused(flipped);
  }

 private:
  static constexpr std::uint32_t kDim = 8;

  static bool is_refused(const fs::path& snapshot) {
    try {
      Index::load(snapshot);
      return false;
    } catch (const Error& error) {
      return error.code() == ErrorCode::kCorrupt;
    }
  }

  void open_with(const fs::path& snapshot, const std::string& what) {
    const fs::path shop = folder_ / "damaged";
    fs::remove_all(shop);
    fs::copy(folder_ / "sound", shop);
    fs::copy_file(snapshot, shop / "index.snapshot", fs::copy_options::overwrite_existing);
    ++opened_;
    std::string log;
    vsearch::CatalogOptions options;
    options.log = [&](vsearch::LogLevel, std::string_view line) { log += line; };
    try {
      const Catalog catalog = Catalog::open(shop, options);
      if (log.find("anew") != std::string::npos && alike(answers(catalog, kDim), answers_)) return;
    } catch (const Error& error) {
      log += error.what();
    }
    ++wrong_;
    std::fprintf(stderr, "snapshot: %s: other answers: %s\n", what.c_str(), log.c_str());
  }

  const TempDir folder_{folder_in_memory()};
  std::vector<std::vector<Hit>> answers_;
  std::size_t opened_ = 0;
  std::size_t wrong_ = 0;
};

// ---- The database

// What came of mutations; shared by several processes.
struct Figures {
  std::array<std::atomic<std::uint64_t>, 32> refused_by_code{};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> sound{0};   // everything could be read
  std::atomic<std::uint64_t> partly{0};  // opened, but something was refused later
  std::atomic<std::uint64_t> wrong{0};
};

struct Files {
  std::vector<std::byte> database;
  std::vector<std::byte> log;  // empty: it was closed
  std::vector<std::byte> snapshot;
};

class DatabaseDamage {
 public:
  explicit DatabaseDamage(Figures& figures) : figures_(figures) {
    const fs::path shop = folder_ / "shop";
    {
      Catalog catalog = create(shop, kDim);
      fill(catalog, 0, 50, kDim);
    }
    closed_ = read(shop);
    Catalog catalog = Catalog::open(shop);
    fill(catalog, 30, 60, kDim);
    const std::vector<std::string> keys{"3", "5", "8", "16"};
    catalog.remove(keys);
    open_ = read(shop);
    if (open_.log.empty()) throw std::runtime_error("there is no log");
  }

  void mutate(std::uint64_t number) {
    Random random(number);
    Files files = random.below(2) == 0 ? closed_ : open_;
    const bool in_log = !files.log.empty() && random.below(2) == 0;
    what_ = (in_log ? "log: " : "database: ") +
            vsearch_test::damage(in_log ? files.log : files.database, random);
    number_ = number;
    const fs::path shop = folder_ / ("mutant-" + std::to_string(getpid()));
    fs::remove_all(shop);
    fs::create_directory(shop);
    vsearch_test::write_file(shop / "catalog.db", files.database);
    if (!files.log.empty()) vsearch_test::write_file(shop / "catalog.db-wal", files.log);
    if (random.below(3) > 0) vsearch_test::write_file(shop / "index.snapshot", files.snapshot);

    std::optional<Catalog> catalog;
    const bool opened = tolerate("open", [&] { catalog = Catalog::open(shop); });
    if (!opened) {
      ++figures_.refused;
      if (vsearch_test::read_file(shop / "catalog.db") != files.database) {
        complain("what was refused was changed");
      }
      return;
    }
    bool sound = read_all(*catalog);
    if (random.below(5) == 0) sound &= write_some(*catalog);
    ++(sound ? figures_.sound : figures_.partly);
  }

 private:
  static constexpr std::uint32_t kDim = vsearch_test::FakeEncoder::kDim;
  // What may be said of damage. A key may be listed where it is not found, and the other way round.
  static constexpr ErrorCode kClear[] = {ErrorCode::kCorrupt, ErrorCode::kUnavailable,
                                         ErrorCode::kIo, ErrorCode::kKeyNotFound};

  static Files read(const fs::path& shop) {
    Files files;
    files.database = vsearch_test::read_file(shop / "catalog.db");
    if (fs::exists(shop / "catalog.db-wal")) {
      files.log = vsearch_test::read_file(shop / "catalog.db-wal");
    }
    files.snapshot = vsearch_test::read_file(shop / "index.snapshot");
    return files;
  }

  // Tells the first of each kind.
  void complain(std::string what) {
    ++figures_.wrong;
    const std::string folder = folder_.path().string();
    if (const auto at = what.find(folder); at != std::string::npos) {
      what.erase(at, what.find("catalog.db", at) - at);
    }
    if (!told_.insert(what).second) return;
    std::fprintf(stderr, "mutation %llu (%s): %s\n", static_cast<unsigned long long>(number_),
                 what_.c_str(), what.c_str());
  }

  // False if `call` says that the files are damaged.
  bool tolerate(const std::string& what, const std::function<void()>& call) {
    try {
      call();
      return true;
    } catch (const Error& error) {
      ++figures_.refused_by_code[static_cast<std::size_t>(error.code())];
      if (std::ranges::find(kClear, error.code()) == std::end(kClear)) {
        complain(what + ": the error " + std::to_string(static_cast<int>(error.code())) + ": " +
                 error.what());
      }
    } catch (const std::exception& error) {
      complain(what + ": no error of ours: " + error.what());
    }
    return false;
  }

  bool read_all(const Catalog& catalog) {
    bool sound = true;
    std::vector<std::string> keys{"0", "8", "59", "absent"};
    sound &= tolerate("keys", [&] { keys = catalog.keys(); });
    for (const std::string& key : keys) {
      sound &= tolerate("get", [&] { catalog.get(key); });
    }
    sound &= tolerate("info", [&] { catalog.info(); });
    sound &= tolerate("match", [&] {
      catalog.pictures(catalog.match(Filter::parse("colour = 'red' OR tags HAS 'new'")).ids());
    });
    const Searcher searcher(catalog);
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const std::vector<float> asked = vector_of(seed * 7, kDim);
      QueryOptions options;
      if (seed == 3) options.where = Filter::parse("price BETWEEN 10 AND 40");
      sound &= tolerate("search", [&] { searcher.search(Query::vector(asked), options); });
    }
    if (!keys.empty()) {
      sound &= tolerate("search for the like", [&] { searcher.search(Query::like(keys[0])); });
    }
    return sound;
  }

  bool write_some(Catalog& catalog) {
    bool sound = true;
    sound &= tolerate("add", [&] { fill(catalog, 55, 65, kDim); });
    const std::vector<vsearch::MetadataPatch> patches{{"1", R"({"seen":1})"}, {"40", "{}"}};
    sound &= tolerate("patch", [&] { catalog.patch(patches); });
    const std::vector<std::string> keys{"2", "7", "41"};
    sound &= tolerate("remove", [&] { catalog.remove(keys); });
    sound &= tolerate("save_snapshot", [&] { catalog.save_snapshot(); });
    return sound;
  }

  const TempDir folder_{folder_in_memory()};
  Figures& figures_;
  Files closed_;  // after closing
  Files open_;    // as a crash leaves them
  std::uint64_t number_ = 0;
  std::string what_;
  std::set<std::string> told_;
};

// Processes of their own do it: one that crashes or hangs is noticed, and its mutation is named.
bool damage_databases(std::uint64_t first, std::uint64_t count) {
  const unsigned workers = std::max(1U, std::thread::hardware_concurrency());
  struct Shared {
    Figures figures;
    std::array<std::atomic<std::uint64_t>, 256> at{};  // by worker
  };
  void* const memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  Shared& shared = *new (memory) Shared;
  DatabaseDamage damage(shared.figures);
  std::fflush(nullptr);
  std::vector<pid_t> processes;
  for (unsigned worker = 0; worker < std::min(workers, 256U); ++worker) {
    const pid_t process = fork();
    if (process < 0) throw std::runtime_error("no process");
    if (process == 0) {
      {
        vsearch_test::Watchdog watchdog(1, kLimit);
        for (std::uint64_t i = worker; i < count; i += std::min(workers, 256U)) {
          shared.at[worker] = first + i;
          watchdog.begin(0, "a mutation");
          damage.mutate(first + i);
        }
      }
      _exit(0);
    }
    processes.push_back(process);
  }
  std::size_t crashes = 0;
  for (std::size_t worker = 0; worker < processes.size(); ++worker) {
    int status = 0;
    waitpid(processes[worker], &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    ++crashes;
    std::fprintf(stderr, "mutation %llu ends the process\n",
                 static_cast<unsigned long long>(shared.at[worker]));
  }
  const Figures& figures = shared.figures;
  const auto number = [](const std::atomic<std::uint64_t>& value) {
    return static_cast<unsigned long long>(value.load());
  };
  std::printf("errors by code:");
  for (std::size_t code = 0; code < figures.refused_by_code.size(); ++code) {
    if (figures.refused_by_code[code] > 0) {
      std::printf(" %zu: %llu", code, number(figures.refused_by_code[code]));
    }
  }
  std::printf(
      "\ncatalog.db: %llu mutations, %llu refused, %llu opened, %llu of them with errors "
      "later, %llu wrong, %zu crashes\n",
      static_cast<unsigned long long>(count), number(figures.refused),
      number(figures.sound) + number(figures.partly), number(figures.partly), number(figures.wrong),
      crashes);
  return figures.wrong == 0 && crashes == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const long count = argc > 1 ? std::atol(argv[1]) : 10'000;
  const long first = argc > 2 ? std::atol(argv[2]) : 0;
  if (argc > 3 || count < 1 || first < 0) {
    std::fprintf(stderr, "usage: catalog_mutations [COUNT [FIRST]]\n");
    return 2;
  }
  const bool snapshots = argc > 2 || SnapshotDamage().run();
  std::fflush(nullptr);
  const bool databases =
      damage_databases(static_cast<std::uint64_t>(first), static_cast<std::uint64_t>(count));
  return snapshots && databases ? 0 : 1;
}
