// What torch throws, as the library's own errors.
#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "vsearch/error.h"

namespace vsearch::encoder {

// The one line of a torch message that says what happened: "RuntimeError: ..." of a TorchScript
// traceback, else the first. Torch's messages run over dozens of lines.
std::string essence(std::string_view message);

// What to do, as the end of a message: where memory ran out, and where anything else went wrong.
struct Remedy {
  Remedy(const char* usual, const char* for_memory = "use a smaller EncoderOptions::batch_size")
      : otherwise(usual), memory(for_memory) {}

  std::string_view otherwise;
  std::string_view memory;
};

// Throws kOutOfMemory if `message` is about memory, else `code`; names `subject` and ends with
// what of `remedy` fits.
[[noreturn]] void throw_torch_error(ErrorCode code, const std::string& subject,
                                    std::string_view message, const Remedy& remedy);

// Runs `call`, which uses torch; whatever torch throws becomes an Error. An Error passes as it is.
template <class Call>
auto run_torch(ErrorCode code, const std::string& subject, const Remedy& remedy, const Call& call) {
  try {
    return call();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw_torch_error(ErrorCode::kOutOfMemory, subject, "out of memory", remedy);
  } catch (const c10::OutOfMemoryError& error) {
    throw_torch_error(ErrorCode::kOutOfMemory, subject, error.what_without_backtrace(), remedy);
  } catch (const c10::Error& error) {
    throw_torch_error(code, subject, error.what_without_backtrace(), remedy);
  } catch (const std::exception& error) {
    throw_torch_error(code, subject, error.what(), remedy);
  }
}

}  // namespace vsearch::encoder
