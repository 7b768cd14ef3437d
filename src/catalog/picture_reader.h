// Reads and decodes pictures on a few threads, ahead of the one who takes them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "vsearch/catalog.h"
#include "vsearch/error.h"
#include "vsearch/image.h"

namespace vsearch::detail {

struct PictureJob {
  const std::string* key = nullptr;  // of the item it belongs to
  const Picture* picture = nullptr;  // with bytes or a path
};

// Exactly one of `stored`, `image`, `failure` and `fatal` is set.
struct PictureResult {
  std::string content_hash;
  std::vector<float> stored;  // the embedding that is known of this content
  Image image;
  std::optional<Error> failure;  // the picture is at fault
  std::exception_ptr fatal;      // something else is
};

class PictureReader {
 public:
  // The embedding of the picture of item `key` with this content, empty if there is none. Called
  // from several threads.
  using FindStored =
      std::function<std::vector<float>(const std::string& key, const std::string& content_hash)>;

  // What the jobs point to must outlive the reader.
  PictureReader(std::vector<PictureJob> jobs, FindStored find_stored);
  ~PictureReader();
  PictureReader(const PictureReader&) = delete;
  PictureReader& operator=(const PictureReader&) = delete;

  // The result of the next job, in their order; waits for it. At most once a job.
  PictureResult take();

 private:
  void work();
  bool may_start() const;  // with mutex_ held
  PictureResult read(const PictureJob& job) const;

  const std::vector<PictureJob> jobs_;
  const FindStored find_stored_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // All below are guarded by mutex_.
  std::vector<std::optional<PictureResult>> slots_;  // job i in slot i % slots_.size()
  std::size_t started_ = 0;
  std::size_t taken_ = 0;
  std::uint64_t held_bytes_ = 0;  // pixels of decoded pictures not yet taken
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace vsearch::detail
