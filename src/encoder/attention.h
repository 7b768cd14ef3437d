// Attention in one pass over memory, for CPUs with AVX-512.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vsearch::encoder {

// Queries are computed in groups; threads may divide the groups of a head among themselves.
constexpr std::size_t kQueryGroup = 6;

constexpr std::size_t query_groups(std::size_t tokens) {
  return (tokens + kQueryGroup - 1) / kQueryGroup;
}

// One head of one picture, in bfloat16. `qkv` points to its first query, scaled already, whose key
// lies `key_offset` and whose value lies `2 * key_offset` elements further; from one token to the
// next are `token_stride` elements.
struct Head {
  const std::uint16_t* qkv;
  std::size_t token_stride;
  std::size_t key_offset;
  std::size_t tokens;
  std::size_t size;
};

// softmax(Q K^T) V with products in bfloat16 and sums in float32; the weights of the values are
// rounded to bfloat16.
namespace attention_bf16 {

// Whether it runs on this machine, for so many tokens and heads of this size.
bool supports(std::size_t tokens, std::size_t size);

// How many bytes `scratch` has below; it is aligned to 64 bytes.
std::size_t scratch_bytes(std::size_t tokens, std::size_t size);

// Makes `scratch` ready for the queries of `head`.
void prepare(const Head& head, void* scratch);

// Computes the groups of queries `begin` to `end`. `out`: where the first token of the head goes;
// from one token to the next are `out_stride` elements. Threads: a scratch for each.
void mix(const Head& head, std::size_t begin, std::size_t end, std::uint16_t* out,
         std::size_t out_stride, void* scratch);

}  // namespace attention_bf16

// The same with products in int8. Each query and key has a scale of its own, each channel of the
// values one over all tokens of the head; weights are steps of 1/255 of the largest. So a result
// depends on its own picture only.
//
// The result is in bytes: 0 to 255, rounded from `offset` plus the value. They lie in an order that
// suits vectors: channel c * size / 4 + j is byte 4 * j + c of its head.
namespace attention_int8 {

bool supports(std::size_t tokens, std::size_t size);
std::size_t scratch_bytes(std::size_t tokens, std::size_t size);
void prepare(const Head& head, void* scratch);
void mix(const Head& head, float offset, std::size_t begin, std::size_t end, std::uint8_t* out,
         std::size_t out_stride, void* scratch);

}  // namespace attention_int8

}  // namespace vsearch::encoder
