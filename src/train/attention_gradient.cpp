#include "train/attention_gradient.h"

#include <ATen/ops/empty.h>

#if defined(__x86_64__)

#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "encoder/avx512.h"

namespace vsearch::training {
namespace {

using encoder::kLanes;
using encoder::kLog2E;
using encoder::padded;
using encoder::pair_elements;
using encoder::pair_tokens;
using encoder::store_bf16;

constexpr std::size_t kMaxSize = 256;
constexpr std::size_t kQueries = 128;  // computed together: their scores stay in the cache

// The tokens of one head of one picture, `stride` elements apart.
struct Tokens {
  std::uint16_t* data;
  std::size_t stride;

  std::uint16_t* row(std::size_t token) const { return data + token * stride; }
};

Tokens tokens_of(const at::Tensor& tensor, std::int64_t picture, std::int64_t head) {
  auto* const data = static_cast<std::uint16_t*>(tensor.data_ptr());
  return {data + picture * tensor.stride(0) + head * tensor.stride(1),
          static_cast<std::size_t>(tensor.stride(2))};
}

// Products without a matrix unit: of some rows and registers of columns, that stay in registers.
template <std::size_t Rows, std::size_t Registers>
VSEARCH_AVX512 void multiply_block(const std::uint16_t* a, std::size_t a_stride,
                                   const std::uint32_t* b, std::size_t n, std::size_t pairs,
                                   float* c, bool add) {
  __m512 sums[Rows][Registers];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < Registers; ++r) {
      sums[i][r] = add ? _mm512_loadu_ps(c + i * n + r * kLanes) : _mm512_setzero_ps();
    }
  }
  encoder::add_products(a, a_stride, b, n, pairs, sums);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < Registers; ++r) {
      _mm512_storeu_ps(c + i * n + r * kLanes, sums[i][r]);
    }
  }
}

template <std::size_t Rows>
VSEARCH_AVX512_ENTRY void multiply_rows(std::size_t n, std::size_t k, const std::uint16_t* a,
                                        std::size_t a_stride, const std::uint32_t* b, float* c,
                                        bool add) {
  constexpr std::size_t kRegisters = 4;
  std::size_t j = 0;
  for (; j + kRegisters * kLanes <= n; j += kRegisters * kLanes) {
    multiply_block<Rows, kRegisters>(a, a_stride, b + j, n, k / 2, c + j, add);
  }
  for (; j < n; j += kLanes) {
    multiply_block<Rows, 1>(a, a_stride, b + j, n, k / 2, c + j, add);
  }
}

void multiply_by_vectors(std::size_t m, std::size_t n, std::size_t k, const std::uint16_t* a,
                         std::size_t a_stride, const std::uint32_t* b, float* c, bool add) {
  constexpr std::size_t kRows = 6;  // by 4 registers: 24 sums
  std::size_t i = 0;
  for (; i + kRows <= m; i += kRows) {
    multiply_rows<kRows>(n, k, a + i * a_stride, a_stride, b, c + i * n, add);
  }
  for (; i < m; ++i) multiply_rows<1>(n, k, a + i * a_stride, a_stride, b, c + i * n, add);
}

// c [m, n] = (or, with `add`, +=) a [m, k] times the pairs b [k / 2, n], two rows of a matrix each.
void multiply(std::size_t m, std::size_t n, std::size_t k, const std::uint16_t* a,
              std::size_t a_stride, const std::uint32_t* b, float* c, bool add = false) {
  if (!at::native::cpublas::could_pack(at::kBFloat16)) {
    multiply_by_vectors(m, n, k, a, a_stride, b, c, add);
    return;
  }
  const auto width = static_cast<std::int64_t>(n);
  at::native::cpublas::brgemm(static_cast<std::int64_t>(m), width, static_cast<std::int64_t>(k),
                              static_cast<std::int64_t>(a_stride), width, width, add,
                              reinterpret_cast<const at::BFloat16*>(a),
                              reinterpret_cast<const at::BFloat16*>(b), c);
}

// [size / 2, width] pairs as the rows [size, width] that they are made of.
VSEARCH_AVX512_ENTRY void part_pairs(const std::uint32_t* pairs, std::size_t size,
                                     std::size_t width, std::uint16_t* to) {
  for (std::size_t d = 0; d < size; d += 2) {
    for (std::size_t j = 0; j < width; j += kLanes) {
      const __m512i both = _mm512_loadu_si512(pairs + d / 2 * width + j);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + d * width + j),
                          _mm512_cvtepi32_epi16(both));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + (d + 1) * width + j),
                          _mm512_cvtepi32_epi16(_mm512_srli_epi32(both, 16)));
    }
  }
}

// The weights of one query's scores as bfloat16, 0 past the last key; returns log2 of their sum
// before they were made to sum to 1.
VSEARCH_AVX512_ENTRY float weigh(float* scores, std::size_t count, std::size_t width, float scale,
                                 std::uint16_t* weights) {
  std::fill(scores + count, scores + width, -std::numeric_limits<float>::infinity());
  const __m512 factor = _mm512_set1_ps(scale * kLog2E);
  __m512 highest = _mm512_mul_ps(_mm512_loadu_ps(scores), factor);
  for (std::size_t j = kLanes; j < width; j += kLanes) {
    highest = _mm512_max_ps(highest, _mm512_mul_ps(_mm512_loadu_ps(scores + j), factor));
  }
  const float offset = _mm512_reduce_max_ps(highest);
  __m512 sum = _mm512_setzero_ps();
  for (std::size_t j = 0; j < width; j += kLanes) {
    const __m512 weight = encoder::exp2<6>(
        _mm512_fmsub_ps(_mm512_loadu_ps(scores + j), factor, _mm512_set1_ps(offset)));
    sum = _mm512_add_ps(sum, weight);
    _mm512_storeu_ps(scores + j, weight);
  }
  const float total = _mm512_reduce_add_ps(sum);
  const __m512 share = _mm512_set1_ps(1.0F / total);
  for (std::size_t j = 0; j < width; j += kLanes) {
    store_bf16(weights + j, _mm512_mul_ps(_mm512_loadu_ps(scores + j), share));
  }
  return offset + std::log2(total);
}

VSEARCH_AVX512_ENTRY void round_rows(const float* from, std::size_t count, std::size_t size,
                                     const Tokens& to, std::size_t begin) {
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t d = 0; d < size; d += kLanes) {
      store_bf16(to.row(begin + i) + d, _mm512_loadu_ps(from + i * size + d));
    }
  }
}

// Of [size, width] that lie transposed.
VSEARCH_AVX512_ENTRY void round_columns(const float* from, std::size_t count, std::size_t width,
                                        std::size_t size, const Tokens& to, std::size_t begin) {
  const __m512i rows =
      _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(static_cast<int>(width)));
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t d = 0; d < size; d += kLanes) {
      store_bf16(to.row(begin + i) + d, _mm512_i32gather_ps(rows, from + d * width + i, 4));
    }
  }
}

VSEARCH_AVX512_ENTRY float product(const std::uint16_t* a, const std::uint16_t* b,
                                   std::size_t size) {
  __m512 sum = _mm512_setzero_ps();
  for (std::size_t d = 0; d < size; d += kLanes) {
    sum = _mm512_fmadd_ps(encoder::load_bf16(a + d), encoder::load_bf16(b + d), sum);
  }
  return _mm512_reduce_add_ps(sum);
}

// What one head needs in memory. Numbers of tokens are padded to whole registers.
class Scratch {
 public:
  Scratch(std::size_t tokens, std::size_t size) {
    const std::size_t width = padded(tokens);
    const std::size_t queries = std::min(width, kQueries);
    keys = take<std::uint32_t>(size / 2 * width);
    values = take<std::uint32_t>(width / 2 * size);
    keys_across = take<std::uint16_t>(size * width);
    queries_across = take<std::uint32_t>(size / 2 * queries);
    gradients_across = take<std::uint32_t>(size / 2 * queries);
    queries_down = take<std::uint32_t>(queries / 2 * size);
    gradients_down = take<std::uint32_t>(queries / 2 * size);
    scores = take<float>(width * queries);
    score_gradients = take<float>(width * queries);
    weights = take<std::uint16_t>(width * queries);
    weight_gradients = take<std::uint16_t>(width * queries);
    weight_gradient_pairs = take<std::uint32_t>(width / 2 * queries);
    mixed = take<float>(size * queries);
    key_gradients = take<float>(width * size);
    value_gradients = take<float>(width * size);
    log_sums = take<float>(queries);
    products = take<float>(queries);
    memory_ = at::empty({static_cast<std::int64_t>(bytes_)}, at::kByte);
    base_ = static_cast<std::byte*>(memory_.mutable_data_ptr());
  }

  template <class T>
  struct Part {
    std::size_t offset;
  };

  template <class T>
  T* operator()(Part<T> part) const {
    return reinterpret_cast<T*>(base_ + part.offset);
  }

  Part<std::uint32_t> keys;              // [size / 2, tokens] pairs of elements
  Part<std::uint32_t> values;            // [tokens / 2, size] pairs of tokens
  Part<std::uint16_t> keys_across;       // [size, tokens]
  Part<std::uint32_t> queries_across;    // [size / 2, queries] pairs of elements
  Part<std::uint32_t> gradients_across;  // the same of what came back
  Part<std::uint32_t> queries_down;      // [queries / 2, size] pairs of tokens
  Part<std::uint32_t> gradients_down;
  Part<float> scores;                    // [queries, tokens], on the way back [tokens, queries]
  Part<float> score_gradients;           // [tokens, queries]
  Part<std::uint16_t> weights;           // as the scores
  Part<std::uint16_t> weight_gradients;  // [tokens, queries]
  Part<std::uint32_t> weight_gradient_pairs;  // [tokens / 2, queries] pairs of tokens
  Part<float> mixed;                          // [queries, size], on the way back [size, queries]
  Part<float> key_gradients;                  // [tokens, size]
  Part<float> value_gradients;
  Part<float> log_sums;  // of the queries
  Part<float> products;  // of what was mixed for a query and what came back

 private:
  template <class T>
  Part<T> take(std::size_t count) {
    constexpr std::size_t kAlignment = 64;
    const std::size_t offset = bytes_;
    bytes_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return {offset};
  }

  std::size_t bytes_ = 0;
  at::Tensor memory_;
  std::byte* base_ = nullptr;
};

// One head of one picture.
struct HeadTokens {
  HeadTokens(const Heads& heads, std::int64_t picture, std::int64_t head)
      : q(tokens_of(heads.q, picture, head)),
        k(tokens_of(heads.k, picture, head)),
        v(tokens_of(heads.v, picture, head)) {}

  Tokens q;
  Tokens k;
  Tokens v;
};

void mix_head(const HeadTokens& head, std::size_t tokens, std::size_t size, float scale,
              const Tokens& mixed, float* log_sums, const Scratch& scratch) {
  const std::size_t width = padded(tokens);
  pair_elements(head.k.row(0), head.k.stride, tokens, width, size, scratch(scratch.keys));
  pair_tokens(head.v.row(0), head.v.stride, tokens, width, size, scratch(scratch.values));
  for (std::size_t begin = 0; begin < tokens; begin += kQueries) {
    const std::size_t count = std::min(kQueries, tokens - begin);
    float* const scores = scratch(scratch.scores);
    std::uint16_t* const weights = scratch(scratch.weights);
    multiply(count, width, size, head.q.row(begin), head.q.stride, scratch(scratch.keys), scores);
    for (std::size_t i = 0; i < count; ++i) {
      log_sums[begin + i] = weigh(scores + i * width, tokens, width, scale, weights + i * width);
    }
    multiply(count, size, width, weights, width, scratch(scratch.values), scratch(scratch.mixed));
    round_rows(scratch(scratch.mixed), count, size, mixed, begin);
  }
}

// From the transposed scores of some queries and the products of their gradients with the values:
// the weights, and the gradients of the scores.
VSEARCH_AVX512_ENTRY void weigh_back(const Scratch& scratch, std::size_t tokens, std::size_t width,
                                     float scale) {
  const __m512 factor = _mm512_set1_ps(scale * kLog2E);
  const float* const log_sums = scratch(scratch.log_sums);
  const float* const products = scratch(scratch.products);
  for (std::size_t j = 0; j < padded(tokens); j += 2) {
    for (std::size_t i = 0; i < width; i += kLanes) {
      __m512i pair = _mm512_setzero_si512();
      for (std::size_t second = 0; second < 2 && j + second < tokens; ++second) {
        const std::size_t at = (j + second) * width + i;
        const __m512 weight = encoder::exp2<6>(_mm512_fmsub_ps(
            _mm512_loadu_ps(scratch(scratch.scores) + at), factor, _mm512_loadu_ps(log_sums + i)));
        const __m512 gradient =
            _mm512_mul_ps(_mm512_mul_ps(weight, _mm512_set1_ps(scale)),
                          _mm512_sub_ps(_mm512_loadu_ps(scratch(scratch.score_gradients) + at),
                                        _mm512_loadu_ps(products + i)));
        store_bf16(scratch(scratch.weights) + at, weight);
        std::uint16_t* const rounded = scratch(scratch.weight_gradients) + at;
        store_bf16(rounded, gradient);
        const __m512i half = encoder::load_half(rounded);
        pair = _mm512_or_si512(pair, second == 0 ? half : _mm512_slli_epi32(half, 16));
      }
      _mm512_storeu_si512(scratch(scratch.weight_gradient_pairs) + j / 2 * width + i, pair);
    }
  }
}

void head_gradients(const Tokens& gradient, const HeadTokens& head, const Tokens& mixed,
                    const float* log_sums, std::size_t tokens, std::size_t size, float scale,
                    const HeadTokens& to, const Scratch& scratch) {
  const std::size_t all = padded(tokens);
  pair_elements(head.k.row(0), head.k.stride, tokens, all, size, scratch(scratch.keys));
  part_pairs(scratch(scratch.keys), size, all, scratch(scratch.keys_across));
  for (std::size_t begin = 0; begin < tokens; begin += kQueries) {
    const std::size_t count = std::min(kQueries, tokens - begin);
    const std::size_t width = padded(count);
    const bool add = begin > 0;
    for (std::size_t i = 0; i < width; ++i) {
      const bool is_there = i < count;
      // A query past the last has weights of 0.
      scratch(scratch.log_sums)[i] =
          is_there ? log_sums[begin + i] : std::numeric_limits<float>::max();
      scratch(scratch.products)[i] =
          is_there ? product(gradient.row(begin + i), mixed.row(begin + i), size) : 0.0F;
    }
    pair_elements(head.q.row(begin), head.q.stride, count, width, size,
                  scratch(scratch.queries_across));
    pair_elements(gradient.row(begin), gradient.stride, count, width, size,
                  scratch(scratch.gradients_across));
    pair_tokens(head.q.row(begin), head.q.stride, count, width, size,
                scratch(scratch.queries_down));
    pair_tokens(gradient.row(begin), gradient.stride, count, width, size,
                scratch(scratch.gradients_down));
    multiply(tokens, width, size, head.k.data, head.k.stride, scratch(scratch.queries_across),
             scratch(scratch.scores));
    multiply(tokens, width, size, head.v.data, head.v.stride, scratch(scratch.gradients_across),
             scratch(scratch.score_gradients));
    weigh_back(scratch, tokens, width, scale);
    multiply(tokens, size, width, scratch(scratch.weights), width, scratch(scratch.gradients_down),
             scratch(scratch.value_gradients), add);
    multiply(tokens, size, width, scratch(scratch.weight_gradients), width,
             scratch(scratch.queries_down), scratch(scratch.key_gradients), add);
    multiply(size, width, all, scratch(scratch.keys_across), all,
             scratch(scratch.weight_gradient_pairs), scratch(scratch.mixed));
    round_columns(scratch(scratch.mixed), count, width, size, to.q, begin);
  }
  round_rows(scratch(scratch.key_gradients), tokens, size, to.k, 0);
  round_rows(scratch(scratch.value_gradients), tokens, size, to.v, 0);
}

// `body(picture, head, scratch)` for each, spread over torch's threads.
template <class Body>
void for_each_head(const at::Tensor& q, const Body& body) {
  const std::int64_t heads = q.size(1);
  at::parallel_for(0, q.size(0) * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    const Scratch scratch(static_cast<std::size_t>(q.size(2)), static_cast<std::size_t>(q.size(3)));
    for (std::int64_t i = begin; i < end; ++i) body(i / heads, i % heads, scratch);
    at::native::cpublas::brgemm_release();
  });
}

}  // namespace

bool supports_attention_gradient(std::size_t size) {
  return encoder::has_avx512() && size > 0 && size <= kMaxSize && size % (2 * kLanes) == 0;
}

AttentionOutcome attention(const Heads& heads, double scale) {
  const at::Tensor& q = heads.q;
  AttentionOutcome outcome{
      at::empty({q.size(0), q.size(2), q.size(1), q.size(3)}, q.options()).transpose(1, 2),
      at::empty({q.size(0), q.size(1), q.size(2)}, at::kFloat)};
  const auto tokens = static_cast<std::size_t>(q.size(2));
  auto* const log_sums = outcome.log_sums.mutable_data_ptr<float>();
  for_each_head(q, [&](std::int64_t picture, std::int64_t head, const Scratch& scratch) {
    mix_head({heads, picture, head}, tokens, static_cast<std::size_t>(q.size(3)),
             static_cast<float>(scale), tokens_of(outcome.mixed, picture, head),
             log_sums + static_cast<std::size_t>(picture * q.size(1) + head) * tokens, scratch);
  });
  return outcome;
}

void attention_gradients(const at::Tensor& gradient, const Heads& heads,
                         const AttentionOutcome& outcome, double scale, const Heads& to) {
  const at::Tensor& q = heads.q;
  const auto tokens = static_cast<std::size_t>(q.size(2));
  const auto* const log_sums = outcome.log_sums.const_data_ptr<float>();
  for_each_head(q, [&](std::int64_t picture, std::int64_t head, const Scratch& scratch) {
    head_gradients(tokens_of(gradient, picture, head), {heads, picture, head},
                   tokens_of(outcome.mixed, picture, head),
                   log_sums + static_cast<std::size_t>(picture * q.size(1) + head) * tokens, tokens,
                   static_cast<std::size_t>(q.size(3)), static_cast<float>(scale),
                   {to, picture, head}, scratch);
  });
}

}  // namespace vsearch::training

#else

namespace vsearch::training {

bool supports_attention_gradient(std::size_t) {
  return false;
}

AttentionOutcome attention(const Heads&, double) {
  return {};
}

void attention_gradients(const at::Tensor&, const Heads&, const AttentionOutcome&, double,
                         const Heads&) {}

}  // namespace vsearch::training

#endif
