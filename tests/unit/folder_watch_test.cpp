// Following folders: what is reported, together with what, and when everything must be looked at.
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "catalog/folder_watch.h"
#include "support/catalogs.h"
#include "support/skip.h"
#include "support/sources.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using namespace std::chrono_literals;
using vsearch::ErrorCode;
using vsearch::detail::FolderChanges;
using vsearch::detail::FolderWatch;
using vsearch::detail::WatchTimes;

namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;
using Paths = std::vector<fs::path>;

constexpr WatchTimes kQuick{50ms, 3000ms};

bool always() {
  return true;
}

std::function<bool()> within(std::chrono::milliseconds time) {
  return [end = Clock::now() + time] { return Clock::now() < end; };
}

FolderChanges next(FolderWatch& watch) {
  const auto changes = watch.wait(within(20s), kQuick);
  REQUIRE(changes);
  return *changes;
}

void check_nothing(FolderWatch& watch) {
  const auto changes = watch.wait(within(300ms), kQuick);
  CHECK_FALSE(changes);
}

}  // namespace

TEST_CASE("files that change are reported, all others not") {
  TempDir dir;
  touch(dir.path(), {"old.jpg", "away.jpg", "gone.jpg", "sub/deep/old.jpg", ".hidden/x.jpg"});
  FolderWatch watch(Paths{dir.path()});
  check_nothing(watch);

  SECTION("written, moved and removed, at any depth") {
    touch(dir.path(), {"old.jpg", "sub/deep/Größe ✓.jpg"});
    fs::rename(dir / "away.jpg", dir / "sub/here.jpg");
    fs::remove(dir / "gone.jpg");
    fs::create_symlink("old.jpg", dir / "link.jpg");
    const FolderChanges changes = next(watch);
    CHECK(changes.paths == Paths{dir / "away.jpg", dir / "gone.jpg", dir / "link.jpg",
                                 dir / "old.jpg", dir / "sub/deep/Größe ✓.jpg",
                                 dir / "sub/here.jpg"});
    CHECK_FALSE(changes.everything);
    CHECK(changes.problem.empty());
    check_nothing(watch);
  }
  SECTION("not what is read, or hidden") {
    std::string text;
    std::ifstream(dir / "old.jpg") >> text;
    touch(dir.path(), {".a.jpg", ".hidden/y.jpg", ".new/z.jpg"});
    check_nothing(watch);
    fs::rename(dir / ".a.jpg", dir / "a.jpg");  // as programs do that write a file whole or not
    CHECK(next(watch).paths == Paths{dir / "a.jpg"});
  }
  SECTION("a file that is written for long is reported again when it is closed") {
    std::ofstream file(dir / "slow.jpg");
    CHECK(next(watch).paths == Paths{dir / "slow.jpg"});
    file << "x" << std::flush;
    check_nothing(watch);
    file.close();
    CHECK(next(watch).paths == Paths{dir / "slow.jpg"});
  }
}

TEST_CASE("new folders are followed, and what is in them already is reported") {
  TempDir dir;
  TempDir elsewhere;
  FolderWatch watch(Paths{dir.path()});
  SECTION("made here") {
    touch(dir.path(), {"a/b/1.jpg", "a/2.jpg"});
    const FolderChanges changes = next(watch);
    CHECK(changes.paths == Paths{dir / "a/2.jpg", dir / "a/b/1.jpg"});
    CHECK_FALSE(changes.everything);
    touch(dir.path(), {"a/b/3.jpg"});
    CHECK(next(watch).paths == Paths{dir / "a/b/3.jpg"});
  }
  SECTION("moved here") {
    touch(elsewhere.path(), {"a/b/1.jpg", "a/.b/2.jpg"});
    fs::rename(elsewhere / "a", dir / "a");
    CHECK(next(watch).paths == Paths{dir / "a/b/1.jpg"});
    touch(dir.path(), {"a/b/3.jpg"});
    CHECK(next(watch).paths == Paths{dir / "a/b/3.jpg"});
  }
  SECTION("reached by a symbolic link, and no loop is endless") {
    touch(elsewhere.path(), {"1.jpg"});
    fs::create_symlink(dir.path(), elsewhere / "back");
    fs::create_symlink(elsewhere.path(), dir / "link");
    CHECK(next(watch).paths == Paths{dir / "link/1.jpg"});
    touch(elsewhere.path(), {"2.jpg"});
    CHECK(next(watch).paths == Paths{dir / "link/2.jpg"});
    fs::create_symlink(elsewhere.path(), dir / "other");
    fs::remove(dir / "link");
    CHECK(next(watch).everything);
    touch(elsewhere.path(), {"3.jpg"});
    CHECK(next(watch).paths == Paths{dir / "other/3.jpg"});
    fs::remove(dir / "other");
    CHECK(next(watch).everything);
    touch(elsewhere.path(), {"4.jpg"});
    check_nothing(watch);
  }
  SECTION("made at the same time as many files: none is missed") {
    constexpr int kFiles = 2000;
    std::thread writer([&] {
      for (int i = 0; i < kFiles; ++i) {
        const std::string folder = "f" + std::to_string(i / 10) + "/g";
        write_text(dir / (folder + "/" + std::to_string(i) + ".jpg"), "x");
      }
    });
    std::set<fs::path> seen;
    while (seen.size() < kFiles) {
      const FolderChanges changes = next(watch);
      CHECK_FALSE(changes.everything);
      seen.insert(changes.paths.begin(), changes.paths.end());
    }
    writer.join();
    CHECK(seen.size() == kFiles);
  }
}

TEST_CASE("when folders go, everything must be looked at") {
  TempDir dir;
  TempDir elsewhere;
  const fs::path top = dir / "top";
  touch(top, {"a/b/1.jpg", "c/2.jpg"});
  FolderWatch watch(Paths{top});
  SECTION("removed") {
    fs::remove_all(top / "a");
    CHECK(next(watch).everything);
    touch(top, {"a/b/1.jpg"});
    CHECK(next(watch).paths == Paths{top / "a/b/1.jpg"});
  }
  SECTION("moved within: followed under the new name") {
    fs::rename(top / "a", top / "c/a");
    CHECK(next(watch).everything);
    touch(top, {"c/a/b/3.jpg"});
    const FolderChanges changes = next(watch);
    CHECK(changes.paths == Paths{top / "c/a/b/3.jpg"});
    CHECK_FALSE(changes.everything);
  }
  SECTION("moved away: no longer followed") {
    fs::rename(top / "a", elsewhere / "a");
    CHECK(next(watch).everything);
    touch(elsewhere.path(), {"a/b/3.jpg"});
    check_nothing(watch);
  }
  SECTION("the one that was named: followed again once it is back") {
    fs::rename(top, dir / "aside");
    CHECK(next(watch).everything);
    touch(dir.path(), {"aside/c/3.jpg"});
    check_nothing(watch);
    touch(dir.path(), {"top/c/4.jpg"});
    CHECK(next(watch).everything);
    touch(top, {"c/5.jpg"});
    CHECK(next(watch).paths == Paths{top / "c/5.jpg"});
  }
  SECTION("one put in the place of another") {
    touch(dir.path(), {"new/6.jpg"});
    fs::rename(top, dir / "aside");
    fs::rename(dir / "new", top);
    CHECK(next(watch).everything);
    touch(top, {"7.jpg"});
    CHECK(next(watch).paths == Paths{top / "7.jpg"});
    touch(dir.path(), {"aside/8.jpg"});
    check_nothing(watch);
  }
}

TEST_CASE("another folder may take the place of the one that was named") {
  TempDir dir;
  touch(dir.path(), {"v1/a/1.jpg", "v2/a/2.jpg", "above/top/a/3.jpg"});
  fs::create_symlink("v1", dir / "now");
  SECTION("where it is a symbolic link") {
    FolderWatch watch(Paths{dir / "now"});
    fs::create_symlink("v2", dir / "next");
    fs::rename(dir / "next", dir / "now");
    CHECK(next(watch).everything);
    touch(dir.path(), {"v1/a/4.jpg", "v2/a/5.jpg"});
    CHECK(next(watch).paths == Paths{dir / "now/a/5.jpg"});
  }
  SECTION("where a folder above it moves") {
    const fs::path top = dir / "above/top";
    FolderWatch watch(Paths{top});
    fs::rename(dir / "above", dir / "aside");
    CHECK(next(watch).everything);
    fs::rename(dir / "aside", dir / "above");
    CHECK(next(watch).everything);
    touch(top, {"a/6.jpg"});
    CHECK(next(watch).paths == Paths{top / "a/6.jpg"});
  }
  SECTION("where it is removed and made anew") {
    FolderWatch watch(Paths{dir / "v1"});
    for (int i = 0; i < 3; ++i) {
      fs::remove_all(dir / "v1");
      touch(dir.path(), {"v1/a/7.jpg"});
      CHECK(next(watch).everything);
      touch(dir.path(), {"v1/a/8.jpg"});
      CHECK(next(watch).paths == Paths{dir / "v1/a/8.jpg"});
    }
  }
}

TEST_CASE("the folder that a symbolic link leads to may come, go and be another") {
  TempDir dir;
  TempDir elsewhere;
  touch(dir.path(), {"0.jpg"});
  touch(elsewhere.path(), {"a/1.jpg", "b/2.jpg"});
  fs::create_symlink(elsewhere / "a", dir / "link");
  FolderWatch watch(Paths{dir.path()});
  const auto check_followed = [&](const char* file) {
    touch(elsewhere.path(), {file});
    CHECK(next(watch).paths == Paths{dir / "link" / fs::path(file).filename()});
  };
  SECTION("removed and made anew") {
    for (int i = 0; i < 3; ++i) {
      fs::remove_all(elsewhere / "a");
      CHECK(next(watch).everything);
      touch(elsewhere.path(), {"a/3.jpg"});
      CHECK(next(watch).everything);
      check_followed("a/4.jpg");
    }
  }
  SECTION("moved away, and back") {
    fs::rename(elsewhere / "a", elsewhere / "aside");
    CHECK(next(watch).everything);
    touch(elsewhere.path(), {"aside/3.jpg"});
    check_nothing(watch);
    fs::rename(elsewhere / "aside", elsewhere / "a");
    CHECK(next(watch).everything);
    check_followed("a/4.jpg");
  }
  SECTION("not there at the beginning") {
    fs::create_symlink(elsewhere / "later", dir / "early");
    CHECK(next(watch).paths == Paths{dir / "early"});
    touch(elsewhere.path(), {"later/1.jpg"});
    CHECK(next(watch).everything);
    touch(elsewhere.path(), {"later/2.jpg"});
    CHECK(next(watch).paths == Paths{dir / "early/2.jpg"});
  }
  SECTION("others lead to it too: a link, and one that was named") {
    fs::create_symlink(elsewhere / "b", dir / "x");
    fs::create_symlink(elsewhere / "b", dir / "y");
    FolderWatch both(Paths{dir.path(), elsewhere / "b"});
    for (const char* link : {"x", "y"}) {
      fs::create_symlink(elsewhere / "a", dir / ".next");
      fs::rename(dir / ".next", dir / link);
      CHECK(next(both).everything);
      const fs::path file = fs::path("b") / (std::string(link) + ".jpg");
      touch(elsewhere.path(), {file.string()});
      const FolderChanges changes = next(both);
      REQUIRE(changes.paths.size() == 1);
      CHECK(changes.paths[0].filename() == file.filename());
    }
  }
  SECTION("others lead to it too, and the folder with the link is moved away") {
    fs::create_directories(dir / "sub");
    fs::create_symlink(elsewhere / "b", dir / "sub/x");
    FolderWatch both(Paths{dir.path(), elsewhere / "b"});
    fs::rename(dir / "sub", elsewhere / "sub");
    CHECK(next(both).everything);
    touch(elsewhere.path(), {"b/3.jpg"});
    CHECK(next(both).paths == Paths{elsewhere / "b/3.jpg"});
  }
  SECTION("a link put in its place") {
    fs::create_symlink(elsewhere / "b", dir / ".next");
    fs::rename(dir / ".next", dir / "link");
    CHECK(next(watch).everything);
    check_followed("b/3.jpg");
    touch(elsewhere.path(), {"a/4.jpg"});
    check_nothing(watch);
  }
  SECTION("a file put in its place") {
    touch(dir.path(), {".next"});
    fs::rename(dir / ".next", dir / "link");
    CHECK(next(watch).everything);
    touch(elsewhere.path(), {"a/4.jpg"});
    check_nothing(watch);
  }
}

TEST_CASE("more changes than the kernel keeps mean everything") {
  TempDir dir;
  fs::create_directory(dir / "a");
  std::ifstream setting("/proc/sys/fs/inotify/max_queued_events");
  long queued = 0;
  setting >> queued;
  if (queued <= 0 || queued > 100'000) VSEARCH_SKIP("the kernel keeps too many events to test it");
  FolderWatch watch(Paths{dir.path()});
  // Two names in turn: repeated events of one are merged.
  for (long i = 0; i < queued / 2 + 10; ++i) {
    for (const char* name : {"a/1.jpg", "a/2.jpg"}) {
      close(open((dir / name).c_str(), O_WRONLY | O_CREAT, 0600));
    }
  }
  touch(dir.path(), {"unseen/b/1.jpg"});
  FolderChanges changes = next(watch);
  CHECK(changes.everything);
  check_nothing(watch);
  touch(dir.path(), {"unseen/b/2.jpg"});
  CHECK(next(watch).paths == Paths{dir / "unseen/b/2.jpg"});
}

// With as many folders, taking the watches away one by one would fill the queue again and again.
TEST_CASE("more folders than the kernel keeps changes of may go at once") {
  TempDir dir;
  constexpr int kFolders = 17'000;
  for (int i = 0; i < kFolders; ++i) {
    fs::create_directories(dir / ("a/" + std::to_string(i / 100) + "/" + std::to_string(i)));
  }
  FolderWatch watch(Paths{dir.path()});
  fs::rename(dir / "a", dir / "b");
  const auto begin = Clock::now();
  CHECK(next(watch).everything);
  watch.wait(within(500ms), kQuick);  // forgetting so many filled the queue: everything once more
  touch(dir.path(), {"b/169/16999/1.jpg"});
  CHECK(next(watch).paths == Paths{dir / "b/169/16999/1.jpg"});
  CHECK(Clock::now() - begin < 15s);
  fs::remove_all(dir / "b");
  CHECK(next(watch).everything);
  touch(dir.path(), {"c/2.jpg"});
  CHECK(next(watch).paths == Paths{dir / "c/2.jpg"});
}

TEST_CASE("changes come together, but not too late") {
  TempDir dir;
  FolderWatch watch(Paths{dir.path()});
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      write_text(dir / (std::to_string(i % 10) + ".jpg"), "x");
      std::this_thread::sleep_for(20ms);
    }
  });
  const auto begin = Clock::now();
  const auto changes = watch.wait(within(20s), {400ms, 1000ms});
  const auto time = Clock::now() - begin;
  stop = true;
  writer.join();
  REQUIRE(changes);
  CHECK(changes->paths.size() > 1);
  CHECK(time >= 1000ms);
  CHECK(time < 5s);

  // Once it is quiet, what is left comes when nothing has changed for so long.
  const auto rest = watch.wait(within(1s), {400ms, 20'000ms});
  CHECK((!rest || rest->paths.size() <= 10));
  touch(dir.path(), {"a.jpg"});
  const auto written = Clock::now();
  REQUIRE(watch.wait(within(20s), {400ms, 20'000ms}));
  CHECK(Clock::now() - written >= 400ms);
  CHECK(Clock::now() - written < 5s);
}

TEST_CASE("waiting ends when it is told to, and forgets nothing") {
  TempDir dir;
  FolderWatch watch(Paths{dir.path()});
  int asked = 0;
  const auto begin = Clock::now();
  CHECK_FALSE(watch.wait([&] { return ++asked <= 5; }, kQuick));
  CHECK(Clock::now() - begin < 3s);
  CHECK(asked == 6);
  touch(dir.path(), {"a.jpg"});
  asked = 0;
  CHECK_FALSE(watch.wait([&] { return ++asked <= 2; }, {10s, 10s}));
  CHECK(next(watch).paths == Paths{dir / "a.jpg"});
  CHECK_THROWS_AS(watch.wait([]() -> bool { throw std::runtime_error("own"); }),
                  std::runtime_error);
}

TEST_CASE("several folders, and what cannot be followed") {
  TempDir dir;
  touch(dir.path(), {"a/1.jpg", "b/2.jpg"});
  FolderWatch watch(Paths{dir.path() / "a/", dir / "b", dir / "a"});
  touch(dir.path(), {"a/3.jpg", "b/4.jpg", "5.jpg"});
  CHECK(next(watch).paths == Paths{dir / "a/3.jpg", dir / "b/4.jpg"});
  CHECK_ERROR(FolderWatch(Paths{dir / "none"}), ErrorCode::kFileNotFound, "none': no such folder");
  CHECK_ERROR(FolderWatch(Paths{dir / "a/1.jpg"}), ErrorCode::kInvalidArgument, "is not a folder");
}

// In a user namespace of its own a child may set limits of its own.
TEST_CASE("the limit of followed folders is named") {
  TempDir dir;
  touch(dir.path(), {"a/1.jpg", "b/2.jpg", "c/3.jpg"});
  constexpr int kCannot = 77;
  const auto in_child_with_limit = [](const char* name, int limit, auto&& work) {
    const pid_t child = fork();
    if (child == 0) {
      if (unshare(CLONE_NEWUSER) != 0) _exit(kCannot);
      std::ofstream setting(std::string("/proc/sys/user/") + name);
      setting << limit << std::flush;
      _exit(setting ? work() : kCannot);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  const auto error_names = [&](const std::string& setting) {
    const auto error = error_of([&] { FolderWatch watch(Paths{dir.path()}); });
    if (!error || error->code() != ErrorCode::kIo) return 1;
    const std::string what = error->what();
    return what.find("sysctl " + setting + "=") != what.npos ? 0 : 2;
  };

  const int watches = in_child_with_limit(
      "max_inotify_watches", 3, [&] { return error_names("fs.inotify.max_user_watches"); });
  if (watches == kCannot) VSEARCH_SKIP("a user namespace of its own is not allowed");
  CHECK(watches == 0);
  CHECK(in_child_with_limit("max_inotify_instances", 0,
                            [&] { return error_names("fs.inotify.max_user_instances"); }) == 0);

  // Reached later: said once, the others are still followed.
  CHECK(in_child_with_limit("max_inotify_watches", 5, [&] {
          FolderWatch watch(Paths{dir.path()});
          touch(dir.path(), {"d/4.jpg", "e/5.jpg"});
          auto changes = watch.wait(always, kQuick);
          if (!changes || !changes->everything) return 1;
          if (changes->problem.find("max_user_watches") == std::string::npos) return 2;
          touch(dir.path(), {"a/6.jpg", "e/7.jpg"});
          changes = watch.wait(always, kQuick);
          const bool as_expected = changes && changes->paths == Paths{dir / "a/6.jpg"} &&
                                   !changes->everything && changes->problem.empty();
          return as_expected ? 0 : 3;
        }) == 0);
}
