// Checks of what a call throws.
#pragma once

#include <catch2/catch.hpp>
#include <string>

#include "vsearch/error.h"

namespace vsearch_test {

// Runs `work`, which must throw a vsearch::Error with this code; returns its message.
template <typename Work>
std::string error_message(vsearch::ErrorCode code, Work&& work) {
  try {
    work();
  } catch (const vsearch::Error& error) {
    CHECK(static_cast<int>(error.code()) == static_cast<int>(code));
    return error.what();
  }
  FAIL("nothing was thrown");
  return {};
}

}  // namespace vsearch_test
