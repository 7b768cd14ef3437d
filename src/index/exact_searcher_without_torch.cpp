// ExactSearcher of a library built without torch.
#include <fmt/format.h>

#include "vsearch/error.h"
#include "vsearch/exact_searcher.h"

namespace vsearch {

struct ExactSearcher::Impl {};

ExactSearcher::ExactSearcher(const Index&, const ExactSearcherOptions& options) {
  throw Error(
      ErrorCode::kUnavailable,
      fmt::format("exact search on '{}' needs torch, and this library was built without; "
                  "build it with -DVSEARCH_WITH_TORCH=ON, or use Index::search_batch() with "
                  "SearchOptions::exact",
                  options.device));
}
ExactSearcher::~ExactSearcher() = default;
ExactSearcher::ExactSearcher(ExactSearcher&&) noexcept = default;
ExactSearcher& ExactSearcher::operator=(ExactSearcher&&) noexcept = default;

// There is no object that these could be called on.
std::string ExactSearcher::device() const {
  return {};
}
bool ExactSearcher::refresh() {
  return false;
}
std::vector<std::vector<Neighbor>> ExactSearcher::search_batch(MatrixView, const SearchOptions&) {
  return {};
}

}  // namespace vsearch
