// Reads and decodes pictures on a few threads, ahead of the one who takes them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "catalog/core.h"
#include "util/read_ahead.h"
#include "vsearch/catalog.h"
#include "vsearch/error.h"
#include "vsearch/image.h"

namespace vsearch::detail {

struct PictureJob {
  const std::string* key = nullptr;  // of the item it belongs to
  const Picture* picture = nullptr;  // with bytes or a path
};

// Either `failure` is set, or `stored` has the embedding of the serving edition, or `image` has
// pixels to be encoded.
struct PictureResult {
  std::uint64_t epoch = 0;  // of the editions it is for
  std::string content_hash;
  db::FileStamp stamp;
  std::vector<std::byte> kept_bytes;
  std::vector<EditionVector> stored;  // what is known of this content and crop
  Image image;                        // all of the picture
  std::optional<Error> failure;       // the picture is at fault

  std::uint64_t bytes() const { return image.pixels.size() + kept_bytes.size(); }
};

// Threads: as util::ReadAhead.
class PictureReader {
 public:
  // `core` and what the jobs point to must outlive the reader.
  PictureReader(const CatalogCore& core, std::vector<PictureJob> jobs);

  // The result of the next job, in their order, for these editions; waits for it. At most once a
  // job. Throws what is no picture's fault.
  PictureResult take(const LiveEditions& live);

 private:
  PictureResult read(const PictureJob& job, const LiveEditions& live) const;
  void fill();

  const CatalogCore& core_;
  const std::vector<PictureJob> jobs_;
  std::size_t pushed_ = 0;
  std::size_t taken_ = 0;
  util::ReadAhead<PictureJob, PictureResult> ahead_;  // last: its threads use the members above
};

// The embeddings that are known of a content and crop, of the editions in `live`.
std::vector<EditionVector> known_embeddings(const CatalogCore& core, const LiveEditions& live,
                                            const std::string& content_hash,
                                            const std::string& crop);

// How to decode a picture for all editions in `live`. Loads their encoders if it must.
DecodeOptions decode_options(const LiveEditions& live, const CropBox& crop);

}  // namespace vsearch::detail
