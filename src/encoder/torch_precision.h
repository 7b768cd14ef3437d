// Which form of a model to run.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "encoder/golden.h"
#include "encoder/manifest.h"
#include "encoder/torch_network.h"

namespace vsearch::encoder {

// One way to run a model.
struct Form {
  Precision precision = Precision::kFloat32;
  bool fast = false;  // by the package's code for this precision, not by the plain form
  at::ScalarType type = at::kFloat;  // that the plain form is converted to
  GoldenTolerance tolerance;
};

// The forms that serve `wanted` on `device`, best known first; the plain form in float32 is the
// last of all for kAuto and kFloat32. Throws kUnavailable, naming `path`, if there is none.
std::vector<Form> find_forms(Precision wanted, at::Device device, const std::vector<FastForm>& fast,
                             const std::string& path);

// The fastest of `forms` on this machine: on a CPU by a measurement of some forward passes of
// `pixels` float32 [B, 3, H, W], on another device the first that can be opened. The result is
// remembered under `key` in the user's cache folder
// ($XDG_CACHE_HOME/vsearch, else ~/.cache/vsearch), so that it is measured once; where that cannot
// be written, it is measured again next time. `open` gives the network of a form; a form for which
// it throws kUnavailable, or kBadModel if the forms are of several precisions, is left out, but for
// the last.
std::shared_ptr<const Network> open_fastest(
    const std::vector<Form>& forms, const std::string& key, const at::Tensor& pixels,
    const std::function<std::shared_ptr<const Network>(const Form&)>& open);

}  // namespace vsearch::encoder
