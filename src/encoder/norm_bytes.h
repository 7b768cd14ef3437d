// Layer norm that gives bytes, for CPUs with AVX-512.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vsearch::encoder {

// Whether norm_to_bytes() runs on this machine, for rows of this length.
bool can_norm_to_bytes(std::size_t dim);

// Of each of `rows` rows of `dim` values: (x - mean) / sqrt(variance + eps) * weight + bias,
// rounded, within 0 to 255; value c * dim / 4 + j of a row is byte 4 * j + c.
void norm_to_bytes(const float* x, std::size_t rows, std::size_t dim, const float* weight,
                   const float* bias, float eps, std::uint8_t* out);

}  // namespace vsearch::encoder
