// Attention that can be learned through, for CPUs with AVX-512 and bfloat16: the products run on
// the matrix units where there are some, and nothing of the size tokens x tokens is kept for the
// way back.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>

namespace vsearch::training {

// Whether it runs on this machine, for heads of this size.
bool supports_attention_gradient(std::size_t size);

// Queries, keys and values, or their gradients.
struct Heads {
  at::Tensor q;
  at::Tensor k;
  at::Tensor v;
};

struct AttentionOutcome {
  at::Tensor mixed;     // bfloat16 [B, heads, N, size], the heads of a token side by side in memory
  at::Tensor log_sums;  // float32 [B, heads, N]: log2 of the sum of the exponentials of a query
};

// softmax(scale Q K^T) V, from bfloat16 [B, heads, N, size] on the CPU whose last dimension is
// contiguous. Scores and sums are float32, what is multiplied is bfloat16.
AttentionOutcome attention(const Heads& heads, double scale);

// Into `to`, which is shaped as q, k and v are, by FlashAttention's rule (arXiv 2205.14135,
// appendix B): the weights are computed again. Does not depend on the number of threads.
void attention_gradients(const at::Tensor& gradient, const Heads& heads,
                         const AttentionOutcome& outcome, double scale, const Heads& to);

}  // namespace vsearch::training
