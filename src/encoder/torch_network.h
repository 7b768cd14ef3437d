// One method of a model, on one device and in one precision.
#pragma once

#include <torch/script.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "vsearch/encoder.h"

namespace vsearch::encoder {

class Network {
 public:
  // The method `method` of `module`, in evaluation mode on `device`. The network takes pixels as
  // `type`: float32 but for a plain form converted to half precision. `autocasts`: to bfloat16.
  Network(torch::jit::Module module, const std::string& method, at::Device device,
          at::ScalarType type, Precision precision, bool autocasts = false);

  Precision precision() const { return precision_; }
  at::Device device() const { return device_; }
  at::ScalarType type() const { return type_; }

  // What the method gives for `input`, which holds `count` pictures or texts: floating point
  // [count, ...] of `dims` dimensions, on the device, where it may still be computing.
  // `path` names the model in errors.
  // Throws kBadModel, kOutOfMemory.
  at::Tensor run(c10::IValue input, std::size_t count, std::int64_t dims,
                 const std::string& path) const;

 private:
  torch::jit::Module module_;
  torch::jit::Method method_;
  at::Device device_;
  at::ScalarType type_;
  Precision precision_;
  bool autocasts_;
};

}  // namespace vsearch::encoder
