// Work that threads share.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace vsearch::util {

// Runs `body(next)` on the calling thread and on as many others as there is work for, `threads` in
// all. `next()` gives the numbers 0 to count - 1, each once, and then nothing. Returns when all are
// done; of what the bodies threw, one thing is thrown again. Where no more threads can be started,
// those that are there do the work.
template <typename Body>
void share(std::size_t count, std::size_t threads, const Body& body) {
  std::atomic<std::size_t> taken = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto next = [&]() -> std::optional<std::size_t> {
    const std::size_t number = taken++;
    if (number >= count) return std::nullopt;
    return number;
  };
  const auto run = [&]() noexcept {
    try {
      body(next);
    } catch (...) {
      taken = count;
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    try {
      const std::size_t more = std::max<std::size_t>(1, std::min(threads, count)) - 1;
      others.reserve(more);
      for (std::size_t i = 0; i < more; ++i) others.emplace_back(run);
    } catch (const std::exception&) {
      // Fewer threads, then.
    }
    run();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace vsearch::util
