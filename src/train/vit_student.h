// A fresh, small vision transformer that learns from a teacher.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "encoder/torch_archive.h"

namespace vsearch::training {

// "vit:width=128,depth=12,heads=4,patch=16,size=128": 2.5 million parameters.
struct VitConfig {
  std::uint32_t width = 128;  // of a token
  std::uint32_t depth = 12;   // blocks
  std::uint32_t heads = 4;
  std::uint32_t patch = 16;  // pixels, a square
  std::uint32_t size = 128;  // pixels, a square
  std::uint32_t dim = 0;     // of the embeddings; 0: the teacher's
};

// Whether `student` asks for one: "vit" or "vit:...".
bool is_vit_config(std::string_view student);
// Throws kInvalidArgument, naming the word: one that does not exist, that is given twice, that is
// no number or out of range; a width that the heads do not divide, a size that patches do not.
VitConfig parse_vit_config(std::string_view text);
std::string to_string(const VitConfig& config);  // in full, without a dim of 0

// The package of one, its weights drawn from `seed`, for `teacher`, a package. Without fast forms;
// its golden pairs stand for nothing before write_package() makes them anew.
//
// The network is that of the exporter's vision transformers (bindings/python/vsearch/export/vit.py)
// under the same names: pre-norm blocks over patches with learned positions, a norm, and a
// projection without bias to the embedding. Embeddings are made of the mean of all tokens and there
// is no class token: small networks learn faster so (Beyer et al., arXiv 2205.01580), and tokens
// that re-rank are taught as well.
// Linear maps begin as a normal distribution of 0.02, cut at two deviations, the patches' as one of
// 1 / sqrt(inputs), positions as 0.02; biases as 0, norms as 1.
//
// Pictures are prepared as the teacher's are, in its own size: a resize keeps its proportion to the
// crop; a teacher that takes pictures as they are gets a student that stretches them.
// The teacher's text tower goes with it where the dimensions agree and the package calls it "text",
// as those of the exporter and of train_text() do.
encoder::Archive make_vit_student(const VitConfig& config, const encoder::Archive& teacher,
                                  std::uint64_t seed);

}  // namespace vsearch::training
