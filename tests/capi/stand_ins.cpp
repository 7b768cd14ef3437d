// Encoders without networks behind the C interface, so that its tests need neither torch nor a
// model: load_encoder() by the name of the file.
#include <memory>

#include "support/fake_encoder.h"
#include "support/other_encoder.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"

namespace vsearch {

std::shared_ptr<Encoder> load_encoder(const std::filesystem::path& path, const EncoderOptions&) {
  if (path.filename() == "grid.vsm.pt") return std::make_shared<vsearch_test::FakeEncoder>();
  if (path.filename() == "other.vsm.pt") return std::make_shared<vsearch_test::OtherEncoder>();
  throw Error(ErrorCode::kBadModel, path.string() + ": no stand-in has this name");
}

}  // namespace vsearch
