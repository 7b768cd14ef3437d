// The n-th call fails, for every n. A catalogue lives a short life: made, filled, changed, saved,
// closed and opened. In each life one call of one kind fails, the next one in the next life, until
// there is no such call; and once more, with all calls of the kind failing from the n-th on. A step
// that fails must throw a vsearch::Error and leave everything as it was; with the fault gone the
// same step must succeed, and at the end nothing that was acknowledged may be missing.
//
//   catalog_failing_calls [EVERY]        of kinds with thousands of calls only each EVERY-th life;
//                                        1, all of them, unless given
//   catalog_failing_calls KIND N [on]    one life, in this process: the N-th call of the KIND-th
//   kind (0: the first)
//                                        fails, or all from it on
//
// Ends with a table, and with status 1 if anything was wrong. Lives are led in processes of their
// own, so that one that crashes or hangs does not end the test.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "faults/catalog_workload.h"
#include "faults/file_calls.h"
#include "faults/memory_calls.h"
#include "faults/scratch_dir.h"
#include "vsearch/error.h"

namespace {

using vsearch::ErrorCode;
using vsearch_test::Difference;
using vsearch_test::Expectation;
using vsearch_test::FileCall;
using vsearch_test::MemoryCall;
using vsearch_test::ScratchDir;
using vsearch_test::Shop;
using vsearch_test::Workload;
using vsearch_test::WorkloadStep;

constexpr unsigned kHangs_s = 60;  // a life takes a fiftieth of a second

// Which calls fail, and as what.
struct Kind {
  const char* name;
  bool memory;
  FileCall::Kind file_call;
  int error;
  MemoryCall memory_call;
};

constexpr Kind kKinds[] = {
    {"open, EMFILE", false, FileCall::Kind::kOpen, EMFILE, {}},
    {"write, ENOSPC", false, FileCall::Kind::kWrite, ENOSPC, {}},
    {"sync, EIO", false, FileCall::Kind::kSync, EIO, {}},
    {"truncate, EIO", false, FileCall::Kind::kTruncate, EIO, {}},
    {"rename, ENOSPC", false, FileCall::Kind::kRename, ENOSPC, {}},
    {"unlink, EIO", false, FileCall::Kind::kUnlink, EIO, {}},
    {"mkdir, ENOSPC", false, FileCall::Kind::kMakeFolder, ENOSPC, {}},
    {"new", true, {}, 0, MemoryCall::kNew},
    {"SQLite's malloc", true, {}, 0, MemoryCall::kSqlite},
    {"mmap", true, {}, 0, MemoryCall::kMap},
};

// Lets the n-th call of a kind fail, and perhaps all after it, while it is on.
class Fault : public vsearch_test::FileCallObserver, public vsearch_test::MemoryCallObserver {
 public:
  Fault(const Kind& kind, std::size_t n, bool goes_on) : kind_(kind), n_(n), goes_on_(goes_on) {}

  void turn(bool on) { on_ = on; }
  std::size_t failures() const { return failures_; }

  int before(const FileCall& call) noexcept override {
    if (kind_.memory || call.kind != kind_.file_call || !counts()) return 0;
    return kind_.error;
  }
  void after(const FileCall&) noexcept override {}
  bool fails(MemoryCall call) noexcept override {
    return kind_.memory && call == kind_.memory_call && counts();
  }

 private:
  bool counts() {
    if (!on_) return false;
    const std::size_t number = ++calls_;
    const bool now = goes_on_ ? number >= n_ : number == n_;
    if (now) ++failures_;
    return now;
  }

  const Kind& kind_;
  const std::size_t n_;
  const bool goes_on_;
  std::atomic<bool> on_ = false;
  std::atomic<std::size_t> calls_ = 0;
  std::atomic<std::size_t> failures_ = 0;
};

// What a worker, a process, has done; it lies in memory that both sides see.
struct Figures {
  std::atomic<std::size_t> n;  // of the life that is being led
  std::atomic<const char*> step;
  std::atomic<bool> over;  // there was a life that no call failed in

  std::size_t lives;
  std::size_t errors;    // clean ones
  std::size_t absorbed;  // lives in which a call failed and no step did
  std::size_t reopened;  // steps that succeeded only after the catalogue was opened again
  std::size_t wrong;
  std::array<char, 600> first;  // what was wrong first

  void note(const std::string& what) {
    std::fprintf(stderr, "wrong: %s\n", what.c_str());
    if (wrong++ == 0) std::snprintf(first.data(), first.size(), "%s", what.c_str());
  }
};

std::string which(std::size_t n, bool goes_on) {
  return fmt::format("number {}{}", n, goes_on ? " and all after it" : "");
}

// Takes the steps one by one and looks at what comes of the fault.
class Life {
 public:
  Life(const Kind& kind, std::size_t n, bool goes_on, Figures& figures)
      : kind_(kind), n_(n), goes_on_(goes_on), fault_(kind, n, goes_on), figures_(figures) {}

  // False if there was no n-th call.
  bool lead(const std::vector<WorkloadStep>& steps) {
    const vsearch_test::FileCallWatch watch(folder_.path(), fault_);
    vsearch_test::watch_memory(&fault_);
    Expectation before;
    for (const WorkloadStep& step : steps) {
      figures_.step = step.name.c_str();
      take(step, before);
      before = step.after;
    }
    figures_.step = "the end";
    fault_.turn(true);
    shop_.close();
    fault_.turn(false);
    finish(before);
    vsearch_test::watch_memory(nullptr);
    ++figures_.lives;
    if (fault_.failures() > 0 && !failed_) ++figures_.absorbed;
    return fault_.failures() > 0;
  }

 private:
  void wrong(const std::string& what) {
    figures_.note(fmt::format("{}, {} of them, {}: {}", kind_.name, which(n_, goes_on_),
                              figures_.step.load(), what));
  }

  enum class Outcome { kDone, kFailed, kWrong };
  // With the fault, if told so, while the step runs.
  Outcome attempt(const WorkloadStep& step, bool with_fault) {
    fault_.turn(with_fault);
    try {
      step.run(shop_);
      fault_.turn(false);
      return Outcome::kDone;
    } catch (const vsearch::Error& error) {
      fault_.turn(false);
      const bool clean = error.code() == ErrorCode::kIo ||
                         error.code() == ErrorCode::kOutOfMemory ||
                         (error.code() == ErrorCode::kCorrupt && says_to_open_again(error));
      message_ = fmt::format("error {}: {}", static_cast<int>(error.code()), error.what());
      if (clean) return Outcome::kFailed;
    } catch (const std::bad_alloc&) {
      fault_.turn(false);
      // Where there is no memory for the message of an Error.
      message_ = "std::bad_alloc";
      if (kind_.memory && goes_on_) return Outcome::kFailed;
    } catch (const std::exception& error) {
      fault_.turn(false);
      message_ = fmt::format("another exception: {}", error.what());
    }
    return Outcome::kWrong;
  }
  static bool says_to_open_again(const vsearch::Error& error) {
    return std::string_view(error.what()).find("Open the catalogue again") !=
           std::string_view::npos;
  }

  void take(const WorkloadStep& step, const Expectation& before) {
    Outcome outcome = attempt(step, true);
    // As long as the fault stays, the step may fail again, or do what it can without such calls.
    if (outcome == Outcome::kFailed && goes_on_) outcome = attempt(step, true);
    if (outcome == Outcome::kDone) return;
    failed_ = true;
    if (outcome == Outcome::kWrong) {
      wrong(message_);
    } else {
      ++figures_.errors;
    }
    const std::string failure = message_;
    if (shop_.is_open()) {
      const Difference now = difference(shop_.catalog(), before, 3);
      if (!now.none() && !difference(shop_.catalog(), step.after, 3).none()) {
        wrong(fmt::format("after \"{}\" {}", failure, now.first));
      }
    }
    if (attempt(step, false) == Outcome::kDone) return;
    const std::string again = message_;
    shop_.close();
    if (shop_.exists()) shop_.open();
    ++figures_.reopened;
    if (attempt(step, false) != Outcome::kDone) {
      throw std::runtime_error(
          fmt::format("after \"{}\" it does not succeed: {}", failure, message_));
    }
    if (again.find("pen the catalogue again") == std::string::npos) {
      wrong(
          fmt::format("after \"{}\" it does not succeed without opening it again, and does not "
                      "say so: {}",
                      failure, again));
    }
  }

  void finish(const Expectation& expected) {
    const auto look = [&](const char* when) {
      shop_.open();
      const Difference now = difference(shop_.catalog(), expected, 3);
      if (!now.none()) wrong(fmt::format("{} {}", when, now.first));
      const vsearch::CheckReport report = shop_.catalog().check();
      if (!report.faults.empty()) wrong(fmt::format("{} {}", when, report.faults[0]));
      shop_.close();
    };
    look("at the end");
    const std::string sanity = vsearch_test::integrity(shop_.path());
    if (sanity != "ok") wrong(sanity);
    std::filesystem::remove(shop_.path() / "index.snapshot");
    look("from the database alone");
  }

  const Kind& kind_;
  const std::size_t n_;
  const bool goes_on_;
  Fault fault_;
  Figures& figures_;
  const ScratchDir folder_;
  Shop shop_{folder_ / "shop"};
  bool failed_ = false;
  std::string message_;
};

// Every kind of step, and again some of what may have gone wrong unseen.
std::vector<WorkloadStep> short_life() {
  Workload workload(3);
  for (const std::string_view kind : Workload::kinds()) workload.add(kind);
  for (const char* kind : {"put", "remove", "snapshot", "reopen"}) workload.add(kind);
  return workload.steps();
}

// Leads the lives first, first + every, ... in processes; each that dies is followed by another.
void lead_lives(const Kind& kind, bool goes_on, std::size_t first, std::size_t every,
                const std::vector<WorkloadStep>& steps, Figures& figures) {
  figures.n = first;
  while (!figures.over) {
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("cannot start a process");
    if (child == 0) {
      for (std::size_t n = figures.n; !figures.over; n += every) {
        figures.n = n;
        ::alarm(kHangs_s);
        try {
          if (!Life(kind, n, goes_on, figures).lead(steps)) figures.over = true;
        } catch (const std::exception& error) {
          vsearch_test::watch_memory(nullptr);
          figures.note(
              fmt::format("{}, n = {}, {}: {}", kind.name, n, figures.step.load(), error.what()));
        }
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFSIGNALED(status)) return;
    figures.note(
        fmt::format("{}, the {}{} of them, {}: {}", kind.name, figures.n.load(),
                    goes_on ? "th and all after it" : "th", figures.step.load(),
                    WTERMSIG(status) == SIGALRM ? "it hangs" : ::strsignal(WTERMSIG(status))));
    figures.n += every;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const long every = argc == 2 ? std::atol(argv[1]) : 1;
  const long kind_number = argc > 2 ? std::atol(argv[1]) : 0;
  if (argc > 4 || every < 0 || kind_number < 0 || kind_number >= std::ssize(kKinds)) {
    std::fprintf(stderr, "usage: catalog_failing_calls [EVERY] or KIND N [on]\n");
    return 2;
  }
  const std::vector<WorkloadStep> steps = short_life();
  if (argc > 2) {
    Figures one{};
    Life(kKinds[kind_number], std::strtoul(argv[2], nullptr, 10), argc > 3, one).lead(steps);
    std::printf("%zu clean errors, %zu wrong %s\n", one.errors, one.wrong, one.first.data());
    return one.wrong == 0 ? 0 : 1;
  }
  const std::size_t workers = std::max(1U, std::thread::hardware_concurrency());
  void* const memory = ::mmap(nullptr, workers * sizeof(Figures), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  auto* const figures = static_cast<Figures*>(memory);

  std::printf("%-16s %-10s %7s %7s %9s %9s %6s\n", "call", "fails", "lives", "errors", "absorbed",
              "reopened", "wrong");
  std::size_t all_wrong = 0;
  for (const Kind& kind : kKinds) {
    if (kind.memory && every == 0) continue;
    for (const bool goes_on : {false, true}) {
      const bool many = kind.memory && kind.memory_call != MemoryCall::kMap;
      const std::size_t stride = many ? static_cast<std::size_t>(every) : 1;
      std::vector<pid_t> children;
      for (std::size_t worker = 0; worker < workers; ++worker) {
        new (figures + worker) Figures{};
        const pid_t child = ::fork();
        if (child < 0) throw std::runtime_error("cannot start a process");
        if (child == 0) {
          lead_lives(kind, goes_on, 1 + worker * stride, workers * stride, steps, figures[worker]);
          ::_exit(0);
        }
        children.push_back(child);
      }
      for (const pid_t child : children) ::waitpid(child, nullptr, 0);
      Figures sum{};
      for (std::size_t worker = 0; worker < workers; ++worker) {
        const Figures& one = figures[worker];
        sum.lives += one.lives;
        sum.errors += one.errors;
        sum.absorbed += one.absorbed;
        sum.reopened += one.reopened;
        sum.wrong += one.wrong;
        if (sum.first[0] == 0) sum.first = one.first;
      }
      std::printf("%-16s %-10s %7zu %7zu %9zu %9zu %6zu\n", kind.name,
                  goes_on ? "from n on" : "once", sum.lives, sum.errors, sum.absorbed, sum.reopened,
                  sum.wrong);
      if (sum.wrong > 0) std::printf("  first: %s\n", sum.first.data());
      std::fflush(stdout);
      all_wrong += sum.wrong;
    }
  }
  std::printf("%s\n", all_wrong == 0 ? "nothing was wrong" : "FAILED");
  return all_wrong == 0 ? 0 : 1;
}
