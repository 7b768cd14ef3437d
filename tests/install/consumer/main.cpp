// A program that knows the installed headers only.
#include <cstdio>
#include <vector>

#include "vsearch/vsearch.h"

// What the library is built from must not reach those who use it.
#if __has_include(<torch/script.h>)
#error "a private dependency of libvsearch is on the consumer's include path"
#endif

int main() {
  vsearch::Index index({.dim = 2});
  const std::vector<float> rows{1, 0, 0, 1};
  const std::vector<vsearch::Id> ids{7, 9};
  index.add({rows.data(), 2, 2}, ids);
  const std::vector<float> query{0.1F, 1};
  const auto nearest = index.search(query, {.k = 1});
  if (nearest.size() != 1 || nearest[0].id != 9) {
    std::fprintf(stderr, "wrong answer\n");
    return 1;
  }
  // Pulls in the encoder (and with it torch, where the package has it).
  try {
    (void)vsearch::load_encoder("no-such-model.vsm.pt");
  } catch (const vsearch::Error& error) {
    std::printf("%s\n", error.what());
    return error.code() == vsearch::ErrorCode::kFileNotFound ||
                   error.code() == vsearch::ErrorCode::kUnavailable
               ? 0
               : 1;
  }
  return 1;
}
