// What a caller gave cannot be taken.
#pragma once

#include <string>

#include "vsearch/error.h"

namespace vsearch::detail {

[[noreturn]] inline void refuse(const std::string& message) {
  throw Error(ErrorCode::kInvalidArgument, message);
}

}  // namespace vsearch::detail
