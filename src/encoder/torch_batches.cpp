#include "encoder/torch_batches.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>

#include "vsearch/error.h"

namespace vsearch::encoder {
namespace {

void report(const Progress& progress, std::size_t done, std::size_t total) {
  if (!progress || progress(done, total)) return;
  throw Error(ErrorCode::kCancelled,
              fmt::format("encoding was cancelled after {} of {} pictures", done, total));
}

}  // namespace

void for_each_batch(std::size_t total, std::size_t batch_size,
                    const std::function<void(std::size_t first, std::size_t count)>& work,
                    const Progress& progress) {
  const auto threads =
      static_cast<std::size_t>(at::in_parallel_region() ? 1 : at::get_num_threads());
  if (threads == 1 || total < threads) {
    for (std::size_t first = 0; first < total; first += batch_size) {
      const std::size_t count = std::min(batch_size, total - first);
      work(first, count);
      report(progress, first + count, total);
    }
    return;
  }

  const std::size_t size = std::min(batch_size, (total + threads - 1) / threads);
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<std::size_t> next = 0;
  std::atomic<std::size_t> done = 0;
  std::size_t reported = 0;  // by the caller
  std::mutex mutex;
  std::exception_ptr failure;  // guarded by mutex, as is the next
  std::size_t failed_at = std::numeric_limits<std::size_t>::max();
  const auto work_until_done = [&](std::int64_t, std::int64_t) {
    for (std::size_t first = next.fetch_add(size); first < total; first = next.fetch_add(size)) {
      try {
        const std::size_t count = std::min(size, total - first);
        work(first, count);
        done += count;
        if (std::this_thread::get_id() == caller) {
          reported = done;
          report(progress, reported, total);
        }
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (first < failed_at) {
          failed_at = first;
          failure = std::current_exception();
        }
        next = total;
      }
    }
  };
  at::parallel_for(0, static_cast<std::int64_t>(threads), 1, work_until_done);
  if (failure) std::rethrow_exception(failure);
  if (reported != total) report(progress, total, total);
}

}  // namespace vsearch::encoder
