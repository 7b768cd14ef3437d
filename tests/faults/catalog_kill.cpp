// kill -9 at random times in a process that writes to a catalogue: puts, replaces, patches,
// removes, snapshots, changes of the encoder, compaction (kill_writer.h). It says what it does
// through a pipe, so what was acknowledged is known here. After each kill the catalogue must open,
// and hold what was acknowledged and nothing else: the call that was under way has happened wholly
// or not at all, a large one for the first of its items.
//
//   catalog_kill [ROUNDS]   200 unless given; seeds are fixed, the times of the kills are not
//
// Ends with a line of figures, and with status 1 if anything was wrong.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "catalog/sqlite.h"
#include "faults/kill_shop.h"
#include "faults/kill_writer.h"
#include "support/temp_dir.h"
#include "vsearch/error.h"
#include "vsearch/searcher.h"

namespace {

namespace fs = std::filesystem;
using vsearch::Catalog;
using vsearch::Hit;
using vsearch::ItemRecord;
using vsearch::Query;
using vsearch::QueryOptions;
using vsearch::Searcher;
using vsearch_test::apply;
using vsearch_test::Call;
using vsearch_test::ItemState;
using vsearch_test::KillShop;
using vsearch_test::Random;
using vsearch_test::ShopState;

constexpr std::size_t kItems = 300;
constexpr float kSame = 1e-4F;  // an embedding is no further from itself

struct Figures {
  std::size_t rounds = 0;
  std::size_t writes = 0;         // calls that were acknowledged
  std::size_t changes = 0;        // of items, by these
  std::size_t while_opening = 0;  // kills before the first call
  std::size_t under_way = 0;      // kills during a call that writes
  std::size_t happened = 0;       // of these, such as have happened though nobody was told
  std::size_t in_part = 0;        // of these, such as have happened in part
  std::size_t searches = 0;
  // What must not be.
  std::size_t lost = 0;          // acknowledged states of items that are not there
  std::size_t not_found = 0;     // pictures that a search for their embedding does not find
  std::size_t back = 0;          // items that were removed and are there, or are found
  std::size_t half = 0;          // calls that have happened in part and must not
  std::size_t failed_opens = 0;  // and what failed later with an error
  std::size_t unclean = 0;       // integrity checks that had something to say

  bool sound() const { return lost + not_found + back + half + failed_opens + unclean == 0; }
};

void complain(const Figures& figures, const std::string& what) {
  std::fprintf(stderr, "round %zu: %s\n", figures.rounds, what.c_str());
}

// ---- Killing

struct Killed {
  std::vector<Call> done;
  std::optional<Call> under_way;
};

// Lets a writer work until it has done `calls` calls, and kills it `delay` later.
Killed write_and_kill(const KillShop& shop, const fs::path& path, const ShopState& state,
                      std::uint64_t seed, std::ptrdiff_t calls, std::chrono::microseconds delay) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("no pipe");
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("no process");
  if (child == 0) {
    close(ends[0]);
    vsearch_test::write_for_ever(shop, path, state, seed, ends[1]);
  }
  close(ends[1]);
  std::string log;
  char buffer[4096];
  bool alive = true;
  const auto kill_it = [&] {
    std::this_thread::sleep_for(delay);
    kill(child, SIGKILL);
    alive = false;
  };
  if (calls == 0) kill_it();
  for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
    log.append(buffer, static_cast<std::size_t>(n));
    if (alive && std::ranges::count(log, '\n') >= calls) kill_it();
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFSIGNALED(status)) {
    throw std::runtime_error("the writer ended by itself: " + log.substr(log.rfind('\n') + 1));
  }
  Killed killed;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    std::optional<Call> call = Call::parse(line);
    if (lines.eof()) {
      killed.under_way = std::move(call);
    } else {
      killed.done.push_back(call.value());
    }
  }
  return killed;
}

// ---- Looking

bool is_as(const KillShop& shop, std::size_t item, ItemState state,
           const std::optional<ItemRecord>& record) {
  if (!state.present() || !record) return state.present() == record.has_value();
  return record->metadata == KillShop::metadata(item, state) &&
         std::ranges::equal(record->pictures, shop.paths(item, state.look), {},
                            &vsearch::PictureInfo::path);
}

// What of `call` has happened, which was under way: makes `expected` that. The rest is as it was.
void settle(const KillShop& shop, const Catalog& catalog, const Call& call, ShopState& expected,
            Figures& figures) {
  std::size_t done = 0;
  bool in_order = true;
  for (const Call::Change& change : call.changes) {
    const bool happened =
        is_as(shop, change.item, change.after, catalog.get(KillShop::key(change.item)));
    in_order =
        in_order && !(happened && done < static_cast<std::size_t>(&change - call.changes.data()));
    done += happened ? 1 : 0;
    if (happened) expected.items[change.item] = change.after;
    expected.last_version = std::max(expected.last_version, change.after.version);
  }
  if (call.encoder) {
    const std::size_t serving = shop.encoder_number(catalog.info().encoder_fingerprint);
    if (serving == *call.encoder) ++figures.happened;
    if (serving == *call.encoder) expected.encoder = serving;
  }
  ++figures.under_way;
  if (done > 0) ++figures.happened;
  if (done > 0 && done < call.changes.size()) {
    ++figures.in_part;
    if (!in_order || vsearch_test::operation(call.name).at_once) {
      ++figures.half;
      complain(figures, "has happened in part: " + call.text());
    }
  }
}

// Everything that the catalogue says, against what must be there.
void compare(const KillShop& shop, const Catalog& catalog, const ShopState& expected,
             Random& random, Figures& figures) {
  std::set<std::string> present;
  std::size_t pictures = 0;
  for (std::size_t item = 0; item < shop.size(); ++item) {
    const ItemState state = expected.items[item];
    const std::optional<ItemRecord> record = catalog.get(KillShop::key(item));
    if (!is_as(shop, item, state, record)) {
      ++(state.present() ? figures.lost : figures.back);
      complain(figures, "item " + KillShop::key(item) + " is not at look " +
                            std::to_string(state.look) + ", version " +
                            std::to_string(state.version) + " but " +
                            (record ? record->metadata : "away"));
    }
    if (!state.present()) continue;
    present.insert(KillShop::key(item));
    pictures += shop.paths(item, state.look).size();
  }
  for (const std::string& key : catalog.keys()) {
    if (present.contains(key)) continue;
    ++figures.back;
    complain(figures, "keys() has " + key);
  }
  if (shop.encoder_number(catalog.info().encoder_fingerprint) != expected.encoder) {
    ++figures.lost;
    complain(figures, "another encoder serves");
  }
  if (catalog.serving()->index().size() != pictures || catalog.info().pictures != pictures) {
    ++figures.lost;
    complain(figures, "the index holds " + std::to_string(catalog.serving()->index().size()) +
                          " pictures, the store " + std::to_string(catalog.info().pictures) +
                          ", not " + std::to_string(pictures));
  }

  const Searcher searcher(catalog);
  QueryOptions options;
  options.k = 3;
  const auto search = [&](std::span<const float> embedding) {
    ++figures.searches;
    std::vector<Hit> hits = searcher.search(Query::vector(embedding), options);
    for (const Hit& hit : hits) {
      if (present.contains(hit.key)) continue;
      ++figures.back;
      complain(figures, "a search finds the removed item " + hit.key);
    }
    return hits;
  };
  for (std::size_t item = 0; item < shop.size(); ++item) {
    const std::string key = KillShop::key(item);
    const std::uint32_t look = expected.items[item].look;
    if (look != 0) {
      for (const auto embedding : shop.embeddings(item, look, expected.encoder)) {
        const std::vector<Hit> hits = search(embedding);
        if (!hits.empty() && hits[0].key == key && hits[0].distance < kSame) continue;
        ++figures.not_found;
        complain(figures, "item " + key + " is not found by its embedding");
      }
    }
    // The embeddings it had before, or would have with another encoder, are nobody's.
    const auto other = static_cast<std::uint32_t>(1 + random.below(KillShop::kLooks));
    const std::size_t encoder = other == look ? 1 - expected.encoder : random.below(2);
    for (const auto embedding : shop.embeddings(item, other, encoder)) {
      for (const Hit& hit : search(embedding)) {
        if (hit.distance >= kSame) continue;
        ++figures.back;
        complain(figures, "item " + hit.key + " is found by an embedding that it has no more");
      }
    }
  }
}

std::string all_rows(vsearch::db::Database& database, const std::string& sql) {
  vsearch::db::Query rows = database.query_once(sql);
  std::string text;
  while (rows.step()) text += std::string(rows.text(0)) + "\n";
  return text;
}

void check_integrity(const fs::path& path, Figures& figures) {
  vsearch::db::Database database(path / "catalog.db", vsearch::db::Database::Mode::kOpen);
  const std::string said =
      all_rows(database, "PRAGMA integrity_check") + all_rows(database, "PRAGMA foreign_key_check");
  if (said == "ok\n") return;
  ++figures.unclean;
  complain(figures, "integrity check: " + said);
}

// ---- The rounds

class Kills {
 public:
  Kills() : shop_(folder_ / "pictures", kItems), random_(5) {
    state_.items.resize(kItems);
    vsearch::CatalogCreateOptions options;
    options.encoder = shop_.encoder(0);
    options.encoder_ref = options.encoder->info().name;
    Catalog::create(path_, options);
  }

  void round() {
    ++figures_.rounds;
    // A quarter of them while the catalogue is being opened, or thereabouts.
    const bool early = random_.below(4) == 0;
    const auto calls = static_cast<std::ptrdiff_t>(early ? 0 : 1 + random_.below(20));
    const std::chrono::microseconds delay(random_.below(early ? 60'000 : 15'000));
    const Killed killed = write_and_kill(shop_, path_, state_, figures_.rounds, calls, delay);
    for (const Call& call : killed.done) {
      apply(call, state_);
      figures_.writes += call.writes() ? 1 : 0;
      figures_.changes += call.changes.size();
    }
    if (killed.done.empty() && !killed.under_way) ++figures_.while_opening;

    // In a third of the rounds the next writer, too, finds what this one has left.
    const fs::path as_left = folder_ / "as-left";
    fs::copy(path_, as_left, fs::copy_options::recursive);
    try {
      const Catalog catalog = vsearch_test::open_shop(shop_, path_);
      if (killed.under_way && killed.under_way->writes()) {
        settle(shop_, catalog, *killed.under_way, state_, figures_);
      }
      compare(shop_, catalog, state_, random_, figures_);
    } catch (const vsearch::Error& e) {
      ++figures_.failed_opens;
      complain(figures_, e.what());
    }
    check_integrity(path_, figures_);
    if (random_.below(3) == 0) {
      fs::remove_all(path_);
      fs::rename(as_left, path_);
    } else {
      fs::remove_all(as_left);
    }
  }

  const Figures& figures() const { return figures_; }

 private:
  const vsearch_test::TempDir folder_;
  const fs::path path_ = folder_ / "shop";
  const KillShop shop_;
  Random random_;
  ShopState state_;
  Figures figures_;
};

}  // namespace

int main(int argc, char** argv) {
  const long rounds = argc > 1 ? std::atol(argv[1]) : 200;
  if (argc > 2 || rounds < 1) {
    std::fprintf(stderr, "usage: catalog_kill [ROUNDS]\n");
    return 2;
  }
  Kills kills;
  for (long round = 0; round < rounds && kills.figures().sound(); ++round) kills.round();
  const Figures& figures = kills.figures();
  std::printf(
      "%zu kills while opening, %zu in a call: %zu of these have happened, %zu in part; "
      "%zu changes of items acknowledged, %zu searches\n",
      figures.while_opening, figures.under_way, figures.happened, figures.in_part, figures.changes,
      figures.searches);
  std::printf(
      "kill -9: %zu rounds, %zu acknowledged writes, %zu lost, %zu removed items back, "
      "%zu failed opens, %zu integrity errors\n",
      figures.rounds, figures.writes, figures.lost + figures.not_found + figures.half, figures.back,
      figures.failed_opens, figures.unclean);
  return figures.sound() ? 0 : 1;
}
