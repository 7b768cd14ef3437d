// What a Preprocessing means in numbers, without torch.
#pragma once

#include <cstdint>
#include <string>

#include "vsearch/encoder.h"

namespace vsearch::encoder {

struct Size {
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;
  friend bool operator==(const Size&, const Size&) = default;
};

// What is wrong with `preprocessing`, as "mean[1] is not a finite number"; empty if nothing is. A
// resize that does not cover the crop is wrong: no picture, or only some, could pass it.
std::string find_fault(const Preprocessing& preprocessing);

// The size of a picture, not empty, after the resize step and before the crop, which it covers if
// find_fault() finds none. `name` is the picture's in messages.
// Throws kBadImage if resizing would need more than 100 megapixels, as for a picture some thousand
// times longer than wide; or if there is no resize and the picture is not of the right size.
Size resized_size(const Preprocessing& preprocessing, Size picture, const std::string& name);

}  // namespace vsearch::encoder
