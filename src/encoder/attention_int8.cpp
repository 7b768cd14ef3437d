#include "encoder/attention.h"

#if defined(__x86_64__)

#include <algorithm>
#include <cstring>
#include <limits>

#include "encoder/avx512.h"

namespace vsearch::encoder {
namespace {

constexpr std::size_t kQueries = kQueryGroup;
constexpr std::size_t kRegisters = 4;  // of results for each query: 24 accumulators in all
constexpr std::size_t kSize = 64;      // head sizes are multiples of it: whole registers of bytes
constexpr std::size_t kMaxSize = 256;
constexpr float kLargest = 127.0F;  // of a signed byte
constexpr int kMiddle = 128;        // added to a query to make it unsigned
constexpr float kWeightSteps = 255.0F;

// What one head needs. The dot product of the instruction set takes four bytes of each operand that
// lie side by side, unsigned on the left and signed on the right.
struct Scratch {
  std::int32_t* keys;         // [size / 4][padded]: four channels of one key
  std::int32_t* values;       // [padded / 4][size]: one channel of four values
  std::int32_t* corrections;  // [padded]: what kMiddle adds to the score of a key, negated
  float* key_scales;          // [padded]
  float* value_scales;        // [size]
  float* scores;              // [kQueries][padded], int32 at first
  std::uint8_t* queries;      // [kQueries][size]
  std::uint8_t* weights;      // [kQueries][padded]
};

Scratch split(void* memory, std::size_t tokens, std::size_t size) {
  const std::size_t width = padded(tokens);
  auto* bytes = static_cast<std::byte*>(memory);
  const auto take = [&bytes](std::size_t count) {
    std::byte* const taken = bytes;
    bytes += count;
    return taken;
  };
  Scratch scratch{};
  scratch.keys = reinterpret_cast<std::int32_t*>(take(width * size));
  scratch.values = reinterpret_cast<std::int32_t*>(take(width * size));
  scratch.corrections = reinterpret_cast<std::int32_t*>(take(width * 4));
  scratch.key_scales = reinterpret_cast<float*>(take(width * 4));
  scratch.value_scales = reinterpret_cast<float*>(take(size * 4));
  scratch.scores = reinterpret_cast<float*>(take(kQueries * width * 4));
  scratch.queries = reinterpret_cast<std::uint8_t*>(take(kQueries * size));
  scratch.weights = reinterpret_cast<std::uint8_t*>(take(kQueries * width));
  return scratch;
}

// The bits of the largest magnitude among `size` values: without their sign they order as integers.
VSEARCH_AVX512 float largest_magnitude(const std::uint16_t* values, std::size_t size) {
  const __m512i no_sign = _mm512_set1_epi16(0x7FFF);
  __m512i most = _mm512_setzero_si512();
  for (std::size_t d = 0; d < size; d += 2 * kLanes) {
    most = _mm512_max_epu16(most, _mm512_and_si512(_mm512_loadu_si512(values + d), no_sign));
  }
  const __m512i even = _mm512_slli_epi32(most, 16);
  const __m512i odd = _mm512_and_si512(most, _mm512_set1_epi32(static_cast<int>(0xFFFF0000U)));
  return _mm512_reduce_max_ps(_mm512_castsi512_ps(_mm512_max_epi32(even, odd)));
}

// 16 accumulators. Not __m512i, which may alias anything: GCC 12 keeps arrays of it in memory.
using Sums = std::int32_t __attribute__((vector_size(64)));

float inverse(float scale) {
  return scale > 0.0F ? 1.0F / scale : 0.0F;
}

VSEARCH_AVX512 __m512i rounded(__m512 values, __m512 factor) {
  return _mm512_cvtps_epi32(_mm512_mul_ps(values, factor));
}

// `size` values in steps of the scale that is returned, as signed bytes plus `added`.
VSEARCH_AVX512 float quantise(const std::uint16_t* values, std::size_t size, int added,
                              std::uint8_t* to) {
  const float scale = largest_magnitude(values, size) / kLargest;
  const __m512 factor = _mm512_set1_ps(inverse(scale));
  const __m512i middle = _mm512_set1_epi32(added);
  for (std::size_t d = 0; d < size; d += kLanes) {
    const __m512i steps = _mm512_add_epi32(rounded(load_bf16(values + d), factor), middle);
    const __m128i bytes = _mm512_cvtepi32_epi8(steps);
    std::memcpy(to + d, &bytes, sizeof bytes);
  }
  return scale;
}

VSEARCH_AVX512 void pack_keys(const Head& head, const Scratch& scratch) {
  const std::size_t width = padded(head.tokens);
  const __m512i rows =
      _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(static_cast<int>(width)));
  const __m512i middles = _mm512_set1_epi8(static_cast<char>(kMiddle));
  alignas(64) std::uint8_t bytes[kMaxSize];
  for (std::size_t j = 0; j < width; ++j) {
    std::memset(bytes, 0, head.size);
    scratch.key_scales[j] = 0.0F;
    if (j < head.tokens) {
      const std::uint16_t* const key = head.qkv + j * head.token_stride + head.key_offset;
      scratch.key_scales[j] = quantise(key, head.size, 0, bytes);
    }
    __m512i sums = _mm512_setzero_si512();
    for (std::size_t d = 0; d < head.size; d += kSize) {
      const __m512i words = _mm512_load_si512(bytes + d);
      sums = _mm512_dpbusd_epi32(sums, middles, words);
      _mm512_i32scatter_epi32(scratch.keys + d / 4 * width + j, rows, words, 4);
    }
    scratch.corrections[j] = -_mm512_reduce_add_epi32(sums);
  }
}

VSEARCH_AVX512 void pack_values(const Head& head, const Scratch& scratch) {
  const std::size_t width = padded(head.tokens);
  const std::uint16_t* const values = head.qkv + 2 * head.key_offset;
  const __m512 no_sign = _mm512_castsi512_ps(_mm512_set1_epi32(0x7FFFFFFF));
  const __m512i low_byte = _mm512_set1_epi32(0xFF);
  for (std::size_t d = 0; d < head.size; d += kLanes) {
    __m512 most = _mm512_setzero_ps();
    for (std::size_t j = 0; j < head.tokens; ++j) {
      most = _mm512_max_ps(most,
                           _mm512_and_ps(load_bf16(values + j * head.token_stride + d), no_sign));
    }
    const __m512 scales = _mm512_mul_ps(most, _mm512_set1_ps(1.0F / kLargest));
    _mm512_storeu_ps(scratch.value_scales + d, scales);
    const __mmask16 any = _mm512_cmp_ps_mask(scales, _mm512_setzero_ps(), _CMP_GT_OQ);
    const __m512 factors = _mm512_maskz_div_ps(any, _mm512_set1_ps(1.0F), scales);
    for (std::size_t j = 0; j < width; j += 4) {
      __m512i parts[4];
      for (std::size_t k = 0; k < 4; ++k) {
        parts[k] = _mm512_setzero_si512();
        if (j + k < head.tokens) {
          const __m512 value = load_bf16(values + (j + k) * head.token_stride + d);
          parts[k] = _mm512_and_si512(rounded(value, factors), low_byte);
        }
      }
      _mm512_storeu_si512(scratch.values + j / 4 * head.size + d, pack_bytes(parts));
    }
  }
}

VSEARCH_AVX512_ENTRY void pack(const Head& head, const Scratch& scratch) {
  pack_keys(head, scratch);
  pack_values(head, scratch);
}

// sums[i][r] += the products of `words` times four bytes: of row i in `left`, each four given to
// all lanes, and of the r-th 16 columns in `right`.
template <std::size_t Registers>
VSEARCH_AVX512 void multiply(const std::uint8_t* left, std::size_t left_stride,
                             const std::int32_t* right, std::size_t right_stride, std::size_t words,
                             Sums (&sums)[kQueries][Registers]) {
  for (std::size_t p = 0; p < words; ++p) {
    __m512i columns[Registers];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < Registers; ++r) {
      columns[r] = _mm512_loadu_si512(right + p * right_stride + r * kLanes);
    }
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kQueries; ++i) {
      std::int32_t word = 0;
      std::memcpy(&word, left + i * left_stride + 4 * p, sizeof word);
      const __m512i everywhere = _mm512_set1_epi32(word);
#pragma GCC unroll 8
      for (std::size_t r = 0; r < Registers; ++r) {
        sums[i][r] = reinterpret_cast<Sums>(
            _mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sums[i][r]), everywhere, columns[r]));
      }
    }
  }
}

template <std::size_t Registers>
VSEARCH_AVX512 void score(const Scratch& scratch, std::size_t j, std::size_t width,
                          std::size_t size) {
  Sums sums[kQueries][Registers];
#pragma GCC unroll 8
  for (auto& row : sums) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < Registers; ++r) {
      row[r] = reinterpret_cast<Sums>(_mm512_loadu_si512(scratch.corrections + j + r * kLanes));
    }
  }
  multiply<Registers>(scratch.queries, size, scratch.keys + j, width, size / 4, sums);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kQueries; ++i) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < Registers; ++r) {
      const std::size_t at = j + r * kLanes;
      _mm512_storeu_ps(scratch.scores + i * width + at,
                       _mm512_mul_ps(_mm512_cvtepi32_ps(reinterpret_cast<__m512i>(sums[i][r])),
                                     _mm512_loadu_ps(scratch.key_scales + at)));
    }
  }
}

// The weights exp(score - highest score) of each query in steps of 1/255; returns their sums. The
// scores lack the factor `scales[i]`, which is not negative.
VSEARCH_AVX512 void weigh(const Scratch& scratch, std::size_t tokens, std::size_t width,
                          const float (&scales)[kQueries], float (&sums)[kQueries]) {
  constexpr float kLog2Steps = 7.99435344F;  // of kWeightSteps
  static_assert(kWeightSteps == 255.0F);
  const std::size_t whole = width - kLanes;  // the last register is padded
  const auto valid = static_cast<__mmask16>(0xFFFFU >> (width - tokens));
  const __m512 lowest = _mm512_set1_ps(-std::numeric_limits<float>::max());
  // A fraction that is added before the rest is cut off: of many small weights, some count a step,
  // where rounding would lose them all.
  const __m512 dither =
      _mm512_mul_ps(_mm512_setr_ps(1, 15, 29, 11, 25, 7, 21, 3, 17, 31, 13, 27, 9, 23, 5, 19),
                    _mm512_set1_ps(1.0F / 32));
  for (std::size_t i = 0; i < kQueries; ++i) {
    const float* const scores = scratch.scores + i * width;
    std::uint8_t* const weights = scratch.weights + i * width;
    __m512 highest = _mm512_mask_loadu_ps(lowest, valid, scores + whole);
    for (std::size_t j = 0; j < whole; j += kLanes) {
      highest = _mm512_max_ps(highest, _mm512_loadu_ps(scores + j));
    }
    const __m512 factor = _mm512_set1_ps(scales[i] * kLog2E);
    const __m512 offset =
        _mm512_set1_ps(kLog2Steps - _mm512_reduce_max_ps(highest) * scales[i] * kLog2E);
    const auto weight = [&](std::size_t j) __attribute__((target(VSEARCH_AVX512_TARGET))) {
      return _mm512_cvttps_epi32(_mm512_add_ps(
          exp2<3>(_mm512_fmadd_ps(_mm512_loadu_ps(scores + j), factor, offset)), dither));
    };
    const auto store = [&](std::size_t j, __m512i steps)
        __attribute__((target(VSEARCH_AVX512_TARGET))) {
      const __m128i bytes = _mm512_cvtusepi32_epi8(steps);
      std::memcpy(weights + j, &bytes, sizeof bytes);
    };
    __m512i sum = _mm512_maskz_mov_epi32(valid, weight(whole));
    store(whole, sum);
    for (std::size_t j = 0; j < whole; j += kLanes) {
      const __m512i steps = weight(j);
      sum = _mm512_add_epi32(sum, steps);
      store(j, steps);
    }
    sums[i] = static_cast<float>(_mm512_reduce_add_epi32(sum));
  }
}

// 64 channels from `column` on. The first `done` queries are left alone: another thread may write
// them.
VSEARCH_AVX512 void mix_columns(const Scratch& scratch, std::size_t width, std::size_t size,
                                std::size_t column, const float (&weight_sums)[kQueries],
                                std::size_t done, float offset,
                                std::int32_t (&mixed)[kQueries][kMaxSize]) {
  Sums sums[kQueries][kRegisters];
#pragma GCC unroll 8
  for (auto& row : sums) {
#pragma GCC unroll 8
    for (Sums& sum : row) sum = Sums{};
  }
  multiply<kRegisters>(scratch.weights, width, scratch.values + column, size, width / 4, sums);
  const __m512i nothing = _mm512_setzero_si512();
  const __m512i most = _mm512_set1_epi32(255);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kQueries; ++i) {
    if (i < done) continue;
    const __m512 share = _mm512_set1_ps(1.0F / weight_sums[i]);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRegisters; ++r) {
      const std::size_t d = column + r * kLanes;
      const __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(scratch.value_scales + d), share);
      const __m512i steps = _mm512_cvtps_epi32(
          _mm512_fmadd_ps(_mm512_cvtepi32_ps(reinterpret_cast<__m512i>(sums[i][r])), scale,
                          _mm512_set1_ps(offset)));
      _mm512_store_si512(mixed[i] + d, _mm512_min_epi32(_mm512_max_epi32(steps, nothing), most));
    }
  }
}

VSEARCH_AVX512_ENTRY void mix_group(const Head& head, const Scratch& scratch, std::size_t begin,
                                    float offset, std::uint8_t* out, std::size_t out_stride) {
  const std::size_t width = padded(head.tokens);
  // The last queries are computed together with some of the group before.
  const std::size_t first = std::min(begin, head.tokens - kQueries);
  const std::size_t done = begin - first;
  float scales[kQueries];
  for (std::size_t i = 0; i < kQueries; ++i) {
    scales[i] = quantise(head.qkv + (first + i) * head.token_stride, head.size, kMiddle,
                         scratch.queries + i * head.size);
  }
  std::size_t j = 0;
  for (; j + kRegisters * kLanes <= width; j += kRegisters * kLanes) {
    score<kRegisters>(scratch, j, width, head.size);
  }
  for (; j < width; j += kLanes) score<1>(scratch, j, width, head.size);
  float sums[kQueries];
  weigh(scratch, head.tokens, width, scales, sums);
  alignas(64) std::int32_t mixed[kQueries][kMaxSize];
  for (std::size_t d = 0; d < head.size; d += kSize) {
    mix_columns(scratch, width, head.size, d, sums, done, offset, mixed);
  }
  for (std::size_t i = done; i < kQueries; ++i) {
    std::uint8_t* const to = out + (first + i) * out_stride;
    for (std::size_t d = 0; d < head.size / 4; d += kLanes) {
      __m512i parts[4];
      for (std::size_t c = 0; c < 4; ++c) {
        parts[c] = _mm512_load_si512(mixed[i] + c * head.size / 4 + d);
      }
      _mm512_storeu_si512(to + 4 * d, pack_bytes(parts));
    }
  }
}

}  // namespace

namespace attention_int8 {

bool supports(std::size_t tokens, std::size_t size) {
  return has_avx512() && tokens >= kQueries && size > 0 && size <= kMaxSize && size % kSize == 0;
}

std::size_t scratch_bytes(std::size_t tokens, std::size_t size) {
  const std::size_t width = padded(tokens);
  return width * (2 * size + 8 + kQueries * 5) + size * (4 + kQueries);
}

void prepare(const Head& head, void* scratch) {
  pack(head, split(scratch, head.tokens, head.size));
}

void mix(const Head& head, float offset, std::size_t begin, std::size_t end, std::uint8_t* out,
         std::size_t out_stride, void* scratch) {
  for (std::size_t group = begin; group < end; ++group) {
    mix_group(head, split(scratch, head.tokens, head.size), group * kQueries, offset, out,
              out_stride);
  }
}

}  // namespace attention_int8

}  // namespace vsearch::encoder

#else

namespace vsearch::encoder::attention_int8 {

bool supports(std::size_t, std::size_t) {
  return false;
}

std::size_t scratch_bytes(std::size_t, std::size_t) {
  return 0;
}

void prepare(const Head&, void*) {}

void mix(const Head&, float, std::size_t, std::size_t, std::uint8_t*, std::size_t, void*) {}

}  // namespace vsearch::encoder::attention_int8

#endif
