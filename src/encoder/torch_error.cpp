#include "encoder/torch_error.h"

#include <fmt/format.h>

namespace vsearch::encoder {

std::string essence(std::string_view message) {
  constexpr std::string_view kRuntimeError = "RuntimeError: ";
  const std::size_t raised = message.rfind(kRuntimeError);
  if (raised != std::string_view::npos) message.remove_prefix(raised + kRuntimeError.size());
  message = message.substr(0, message.find('\n'));
  while (message.ends_with('.') || message.ends_with(' ')) message.remove_suffix(1);
  return std::string(message);
}

void throw_torch_error(ErrorCode code, const std::string& subject, std::string_view message,
                       const Remedy& remedy) {
  // On a CPU running out of memory is a plain c10::Error.
  if (code == ErrorCode::kOutOfMemory ||
      message.find("DefaultCPUAllocator") != std::string_view::npos) {
    throw Error(ErrorCode::kOutOfMemory, fmt::format("{}: not enough memory ({}); {}", subject,
                                                     essence(message), remedy.memory));
  }
  throw Error(code, fmt::format("{}: {}; {}", subject, essence(message), remedy.otherwise));
}

}  // namespace vsearch::encoder
