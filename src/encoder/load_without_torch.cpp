// load_encoder() of a library built without torch.
#include <fmt/format.h>

#include "vsearch/encoder.h"
#include "vsearch/error.h"

namespace vsearch {

std::shared_ptr<Encoder> load_encoder(const std::filesystem::path& path, const EncoderOptions&) {
  throw Error(
      ErrorCode::kUnavailable,
      fmt::format("{}: cannot be loaded, this library was built without torch; build it with "
                  "-DVSEARCH_WITH_TORCH=ON, or bring your own vsearch::Encoder",
                  path.string()));
}

}  // namespace vsearch
