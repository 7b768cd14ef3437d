#include "catalog/backup.h"

#include <chrono>
#include <fstream>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "catalog/new_folder.h"
#include "catalog/output_file.h"
#include "catalog/snapshot.h"

namespace vsearch::detail {
namespace {

constexpr int kPages = 256;  // copied at a time: 1 MiB
// A std::mutex that is taken again at once would not let those who wait have it.
constexpr std::chrono::microseconds kPause{200};

class Copying {
 public:
  Copying(CatalogCore& core, const std::filesystem::path& scratch, const Progress& progress)
      : core_(core), scratch_(scratch), progress_(progress) {}

  void run() {
    std::ifstream snapshot;
    copy_store(snapshot);
    go_on();
    if (snapshot) copy_snapshot(snapshot);
  }

 private:
  // Opens the snapshot that belongs to the copy.
  void copy_store(std::ifstream& snapshot) {
    db::Database copy(scratch_ / "catalog.db", db::Database::Mode::kCreate);
    // It counts only when all of it is there and flushed.
    copy.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF");
    const auto in_store = [&](const auto& work) {
      return core_.in_store([&](db::Store& store) { return work(store); });
    };
    const auto close = [&](db::Backup* backup) { in_store([&](db::Store&) { delete backup; }); };
    const std::unique_ptr<db::Backup, decltype(close)> backup(
        in_store([&](db::Store& store) { return new db::Backup(store.database(), copy); }), close);
    // The copy must know the stamp of the snapshot: none may be saved from the last piece on until
    // that is open. It stays what it is when another takes its place.
    std::unique_lock<std::mutex> snapshots;
    while (true) {
      if (backup->pages_left() > std::uint64_t{kPages}) {
        if (snapshots) snapshots = {};
      } else if (!snapshots) {
        snapshots = core_.keep_snapshots();
      }
      if (!in_store([&](db::Store&) { return backup->step(kPages); })) break;
      done_ = backup->pages() - backup->pages_left();
      total_ = backup->pages();
      if (!snapshots) go_on();  // it may save
      std::this_thread::sleep_for(kPause);
    }
    done_ = total_ = backup->pages();
    snapshot.open(snapshot_path(core_.path(), 0, true), std::ios::binary);
  }

  void copy_snapshot(std::ifstream& snapshot) {
    OutputFile file(snapshot_path(scratch_, 0, true));
    std::vector<char> bytes(std::size_t{1} << 20);
    while (snapshot.read(bytes.data(), static_cast<std::streamsize>(bytes.size())),
           snapshot.gcount() > 0) {
      file.write(std::string_view(bytes.data(), static_cast<std::size_t>(snapshot.gcount())));
      go_on();
    }
    file.close();
  }

  void go_on() const {
    if (!progress_ || progress_(done_, total_)) return;
    throw Error(ErrorCode::kCancelled, "the backup was cancelled; nothing of it is left");
  }

  CatalogCore& core_;
  const std::filesystem::path& scratch_;
  const Progress& progress_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace

void backup(CatalogCore& core, const std::filesystem::path& path, const Progress& progress) {
  const auto file = core.keep_file();
  make_folder(path, "make the backup", [&](const std::filesystem::path& scratch) {
    Copying(core, scratch, progress).run();
  });
}

}  // namespace vsearch::detail
