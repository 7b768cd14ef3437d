// Reads and decodes pictures on a few threads, ahead of the one who takes them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "util/read_ahead.h"
#include "vsearch/catalog.h"
#include "vsearch/error.h"
#include "vsearch/image.h"

namespace vsearch::detail {

struct PictureJob {
  const std::string* key = nullptr;  // of the item it belongs to
  const Picture* picture = nullptr;  // with bytes or a path
};

// Exactly one of `stored`, `image` and `failure` is set.
struct PictureResult {
  std::string content_hash;
  std::vector<float> stored;  // the embedding that is known of this content
  Image image;
  std::optional<Error> failure;  // the picture is at fault

  std::uint64_t bytes() const { return image.pixels.size(); }
};

class PictureReader {
 public:
  // The embedding of the picture of item `key` with this content, empty if there is none. Called
  // from several threads.
  using FindStored =
      std::function<std::vector<float>(const std::string& key, const std::string& content_hash)>;

  // How a picture that must be decoded should be. Called from several threads.
  using FindOptions = std::function<DecodeOptions()>;

  // What the jobs point to must outlive the reader.
  PictureReader(std::vector<PictureJob> jobs, FindStored find_stored, FindOptions find_options);

  // The result of the next job, in their order; waits for it. At most once a job.
  // Throws what is no picture's fault.
  PictureResult take();

 private:
  PictureResult read(const PictureJob& job) const;
  void fill();

  const std::vector<PictureJob> jobs_;
  const FindStored find_stored_;
  const FindOptions find_options_;
  std::size_t pushed_ = 0;
  util::ReadAhead<PictureJob, PictureResult> ahead_;  // last: its threads use the members above
};

}  // namespace vsearch::detail
