// Damage to files made of pages: what disks, file systems, bad copies and other programs do.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "support/vectors.h"

namespace vsearch_test {

// Damages `bytes`, which may be of any length, in one of eight ways; returns which.
inline std::string damage(std::vector<std::byte>& bytes, Random& random) {
  constexpr std::size_t kPage = 4096;
  const auto any = [&] { return static_cast<std::byte>(random.below(256)); };
  // Half of all damage is where the structure is: at the beginning of a page.
  const auto somewhere = [&] {
    const std::size_t at = random.below(bytes.size());
    return random.below(2) == 0
               ? at
               : at / kPage * kPage +
                     std::min(at % kPage % 108, bytes.size() - 1 - at / kPage * kPage);
  };
  const auto page = [&] {
    const std::size_t first = random.below(bytes.size()) / kPage * kPage;
    return std::span(bytes).subspan(first, std::min(kPage, bytes.size() - first));
  };
  if (bytes.empty()) {
    bytes.resize(1 + random.below(kPage), any());
    return "filled";
  }
  switch (random.below(8)) {
    case 0: {
      bytes[somewhere()] ^= std::byte{1} << random.below(8);
      return "a bit flipped";
    }
    case 1: {
      for (std::size_t n = 2 + random.below(30); n > 0; --n) {
        bytes[somewhere()] ^= std::byte{1} << random.below(8);
      }
      return "bits flipped";
    }
    case 2: {
      const std::size_t first = somewhere();
      const std::size_t count = std::min(1 + random.below(300), bytes.size() - first);
      std::ranges::generate(std::span(bytes).subspan(first, count), any);
      return "a run of random bytes";
    }
    case 3: {
      const auto one = page();
      const auto other = page();
      const std::size_t count = std::min(one.size(), other.size());
      if (one.data() != other.data()) {
        std::swap_ranges(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(count),
                         other.begin());
      }
      return "pages swapped";
    }
    case 4: {
      std::ranges::fill(page(), std::byte{0});
      return "a page zeroed";
    }
    case 5: {
      const auto from = page();
      const std::vector<std::byte> copy(from.begin(), from.end());
      const auto to = page();
      std::copy_n(copy.begin(), std::min(copy.size(), to.size()), to.begin());
      return "a page over another one";
    }
    case 6: {
      bytes.resize(random.below(bytes.size()));
      return "cut off";
    }
    default: {
      const std::size_t count = 1 + random.below(2 * kPage);
      for (std::size_t i = 0; i < count; ++i) bytes.push_back(any());
      return "garbage appended";
    }
  }
}

}  // namespace vsearch_test
