// A full disk. A catalogue lives on a small file system of its own that is filled up, to the last
// page and to every few pages before it, so that there is no room now for this and now for that:
// the log, moving it into the database, a snapshot, opening. What fails must be a clear error that
// loses nothing; with room again it must succeed.
//
//   catalog_full_disk [ROUNDS]   40 unless given: each leaves more room than the one before
//
// Needs a mount of its own (a namespace); where there can be none it prints SKIPPED and why.
// Ends with its figures, and with status 1 if anything was wrong.
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "faults/catalog_workload.h"
#include "support/temp_dir.h"
#include "vsearch/error.h"

namespace {

using vsearch::ErrorCode;
using vsearch_test::Difference;
using vsearch_test::Expectation;
using vsearch_test::Shop;
using vsearch_test::Workload;
using vsearch_test::WorkloadStep;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kStepsARound = 25;

// A file system of 16 MiB at `folder`, in a namespace of this process's own. The reason if not.
std::string mount_small(const std::filesystem::path& folder) {
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  const auto write_to = [](const char* file, const std::string& text) {
    std::ofstream(file) << text;
  };
  if (::unshare(CLONE_NEWNS) != 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
      return fmt::format("no mount namespace: {}", std::strerror(errno));
    }
    write_to("/proc/self/setgroups", "deny");
    write_to("/proc/self/uid_map", fmt::format("0 {} 1", user));
    write_to("/proc/self/gid_map", fmt::format("0 {} 1", group));
  }
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("vsearch-test", folder.c_str(), "tmpfs", 0, "size=16m") != 0) {
    return fmt::format("cannot mount a small file system: {}", std::strerror(errno));
  }
  return {};
}

// A file that takes all the room there is.
class Ballast {
 public:
  explicit Ballast(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void leave(std::size_t bytes) {
    clear();
    const int file = ::open(path().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct statvfs room {};
    if (file < 0 || ::statvfs(folder_.c_str(), &room) != 0) throw std::runtime_error("no ballast");
    const std::size_t free = room.f_bavail * room.f_bsize;
    const std::size_t taken = free - std::min(free, bytes);
    const int error = taken == 0 ? 0 : ::posix_fallocate(file, 0, static_cast<off_t>(taken));
    ::close(file);
    if (error != 0) throw std::runtime_error(std::strerror(error));
  }
  void clear() { std::filesystem::remove(path()); }

 private:
  std::filesystem::path path() const { return folder_ / "ballast"; }
  const std::filesystem::path folder_;
};

struct Figures {
  std::size_t steps = 0;
  std::size_t errors = 0;
  std::size_t wrong = 0;

  void note(const std::string& what) {
    if (wrong++ == 0) std::printf("wrong: %s\n", what.c_str());
  }
};

void look(Shop& shop, const Expectation& expected, const char* when, Figures& figures) {
  const Difference now = difference(shop.catalog(), expected, 3);
  if (!now.none()) figures.note(fmt::format("{} {}", when, now.first));
}

// Steps that fail are tried again with room, and then the disk is filled again.
void lead(Shop& shop, const std::vector<WorkloadStep>& steps, std::size_t begin, std::size_t room,
          Ballast& ballast, Figures& figures) {
  ballast.leave(room);
  for (std::size_t i = begin; i < std::min(begin + kStepsARound, steps.size()); ++i) {
    ++figures.steps;
    try {
      steps[i].run(shop);
      continue;
    } catch (const vsearch::Error& error) {
      if (error.code() != ErrorCode::kIo) figures.note(steps[i].name + ": " + error.what());
    }
    ++figures.errors;
    // An opening that failed is made up for with room; else nothing may have changed.
    if (shop.is_open()) {
      look(shop, i == 0 ? Expectation() : steps[i - 1].after, "on a full disk", figures);
    }
    ballast.clear();
    steps[i].run(shop);
    look(shop, steps[i].after, "with room again", figures);
    ballast.leave(room);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const long rounds = argc > 1 ? std::atol(argv[1]) : 40;
  if (argc > 2 || rounds < 1) {
    std::fprintf(stderr, "usage: catalog_full_disk [ROUNDS]\n");
    return 2;
  }
  const vsearch_test::TempDir folder;
  if (const std::string reason = mount_small(folder.path()); !reason.empty()) {
    std::printf("SKIPPED: %s\n", reason.c_str());
    return 0;
  }
  Figures figures;
  try {
    Workload workload(11);
    while (workload.steps().size() < static_cast<std::size_t>(rounds) * kStepsARound) {
      workload.add_random();
    }
    const std::vector<WorkloadStep>& steps = workload.steps();
    Ballast ballast(folder.path());
    Shop shop(folder / "shop");
    for (std::size_t round = 0; round < static_cast<std::size_t>(rounds); ++round) {
      // Few pages, and now and then as many as a snapshot takes.
      const std::size_t room = (round % 4 == 3 ? round * 16 : round) * kPage;
      lead(shop, steps, round * kStepsARound, room, ballast, figures);
      ballast.clear();
      shop.close();
      const std::string sanity = vsearch_test::integrity(shop.path());
      if (sanity != "ok") figures.note(sanity);
      // A full disk keeps nobody from opening and searching what is there.
      ballast.leave(0);
      shop.open();
      look(shop, steps[(round + 1) * kStepsARound - 1].after, "opened on a full disk", figures);
    }
    shop.close();
    ballast.clear();
  } catch (const std::exception& error) {
    figures.note(error.what());
  }
  ::umount(folder.path().c_str());
  std::printf("full disk: %zu steps, %zu clean errors, %zu wrong\n", figures.steps, figures.errors,
              figures.wrong);
  if (figures.errors == 0) std::printf("the disk was never full\n");
  const bool failed = figures.wrong > 0 || figures.errors == 0;
  std::printf("%s\n", failed ? "FAILED" : "nothing was wrong");
  return failed ? 1 : 0;
}
