#include "shares.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <string_view>
#include <system_error>

#include "commands.h"

namespace vsx {

double parse_share(const std::string& option, const std::string& text) {
  std::string_view number = text;
  const bool percent = number.ends_with('%');
  if (percent) number.remove_suffix(1);
  double value = 0;
  const auto [stopped, error] =
      std::from_chars(number.data(), number.data() + number.size(), value);
  if (percent) value /= 100;
  if (error == std::errc() && stopped == number.data() + number.size() && value >= 0 &&
      value <= 1) {
    return value;
  }
  throw UsageError(
      fmt::format("{} is a share such as 0.2 or 20%, from 0 to 1, not '{}'", option, text));
}

double parse_held_out(const std::string& text) {
  const double share = parse_share("--held-out", text);
  if (share <= 0.5) return share;
  throw UsageError(
      fmt::format("--held-out is {}; it is at most half: what is held out is not "
                  "learned from",
                  text));
}

std::string share_text(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f} %", 100 * share) : "-";
}

}  // namespace vsx
