// How a catalogue names its encoder.
#include <filesystem>
#include <string>
#include <string_view>

#include "vsearch/encoder.h"

namespace vsearch {

std::string encoder_reference(std::string_view name_or_path) {
  const std::filesystem::path given(name_or_path);
  // find_encoder() alone decides whether this is a file or a name.
  if (find_encoder(name_or_path) != given) return std::string(name_or_path);
  return std::filesystem::absolute(given).lexically_normal().string();
}

}  // namespace vsearch
