// What the losses have in common.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <string>

namespace vsearch::training {

// While it lives, products stay in the type of their factors; autocast would make them bfloat16.
class WithoutAutocast {
  c10::impl::ExcludeDispatchKeyGuard guard_{c10::autocast_dispatch_keyset};
};

// Along the last dimension, to length 1. What is shorter than `shortest` becomes 0 and gets no
// gradient, which would be as large as the vector is short.
at::Tensor to_unit(const at::Tensor& vectors, double shortest = 1e-12);

// Type and shape, for messages: "Float [2, 3]".
std::string shape_text(const at::Tensor& tensor);

// Throws kInvalidArgument.
[[noreturn]] void refuse_loss(const std::string& message);

}  // namespace vsearch::training
