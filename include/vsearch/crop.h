// A part of a picture.
#pragma once

namespace vsearch {

// The part of a picture that an item is about, in shares of its upright width and height:
// 0 <= left < right <= 1, 0 <= top < bottom <= 1. As written here it is the whole picture.
struct CropBox {
  float left = 0.0F;
  float top = 0.0F;
  float right = 1.0F;
  float bottom = 1.0F;

  bool is_whole() const { return *this == CropBox{}; }
  friend bool operator==(const CropBox&, const CropBox&) = default;
};

}  // namespace vsearch
