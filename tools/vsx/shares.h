// Shares of a whole on the command line.
#pragma once

#include <string>

namespace vsx {

// "0.2" and "20%" are both a fifth. Throws UsageError that names `option` (no number, or not from 0
// to 1).
double parse_share(const std::string& option, const std::string& text);

// What --held-out says: at most half. Throws UsageError.
double parse_held_out(const std::string& text);

// 0.2 -> "20.0 %"; "-" of what is no number.
std::string share_text(double share);

}  // namespace vsx
