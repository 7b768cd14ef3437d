// Attention over bfloat16 in one pass, for CPUs with AVX512-BF16.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vsearch::encoder {

// Whether mix_heads_bf16() runs on this machine, for so many tokens and heads of this size.
bool can_mix_heads(std::size_t tokens, std::size_t size);

// How many bytes mix_heads_bf16() needs to work in.
std::size_t mix_heads_scratch_bytes(std::size_t tokens, std::size_t size);

// softmax(Q K^T) V of one head of one picture. `qkv` points to its first query, whose key lies
// `key_offset` and whose value lies `2 * key_offset` elements further; from one token to the next
// are `token_stride` elements in `qkv` and `out_stride` in `out`. Queries are scaled already. Sums
// are kept in float32; the weights of the values are rounded to bfloat16.
// `scratch`: aligned to 64 bytes. Threads: no state but what is passed.
void mix_heads_bf16(const std::uint16_t* qkv, std::size_t token_stride, std::size_t key_offset,
                    std::size_t tokens, std::size_t size, std::uint16_t* out,
                    std::size_t out_stride, void* scratch);

}  // namespace vsearch::encoder
