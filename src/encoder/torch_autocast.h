// Autocast to bfloat16.
#pragma once

#include <ATen/ATen.h>

namespace vsearch::encoder {

// Autocast to bfloat16 for as long as this lives, if `is_on`; then as it was. It is of the thread:
// those that torch's own loops are spread over do not have it.
class HalfPrecision {
 public:
  HalfPrecision(bool is_on, at::Device device);
  ~HalfPrecision();
  HalfPrecision(const HalfPrecision&) = delete;
  HalfPrecision& operator=(const HalfPrecision&) = delete;

 private:
  bool is_on_;
  at::DeviceType type_;
  bool was_enabled_;
  at::ScalarType old_dtype_;
};

}  // namespace vsearch::encoder
