// Numbers for people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace vsearch::util {

// 12,000
inline std::string with_commas(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace vsearch::util
