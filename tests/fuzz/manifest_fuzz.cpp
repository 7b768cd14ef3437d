// Any text: parse_manifest() reads it or says kBadModel, and reads it the same way every time. The
// sanitizers watch for the rest.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "encoder/manifest.h"
#include "vsearch/error.h"

namespace {

std::optional<std::string> canonical(std::string_view text) {
  try {
    return vsearch::encoder::parse_manifest(text, "fuzz").canonical;
  } catch (const vsearch::Error& error) {
    if (error.code() != vsearch::ErrorCode::kBadModel) std::abort();
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (canonical(text) != canonical(text)) std::abort();
  return 0;
}
