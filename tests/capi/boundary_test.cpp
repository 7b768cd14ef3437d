// How exceptions and texts cross into C: what a C program cannot provoke at will.
#include "boundary.h"

#include <catch2/catch.hpp>
#include <new>
#include <stdexcept>
#include <string>

#include "vsearch/error.h"

using vsearch::capi::copy_text;
using vsearch::capi::entry;

TEST_CASE("every exception becomes a status and a message") {
  vsearch_error error{};
  CHECK(entry(&error, [] { throw vsearch::Error(vsearch::ErrorCode::kBusy, "shop is open"); }) ==
        VSEARCH_BUSY);
  CHECK(error.status == VSEARCH_BUSY);
  CHECK(std::string(error.message) == "shop is open");

  CHECK(entry(&error, [] { throw std::bad_alloc(); }) == VSEARCH_OUT_OF_MEMORY);
  CHECK(std::string(error.message).find("out of memory") == 0);

  CHECK(entry(&error, [] { throw std::logic_error("from elsewhere"); }) == VSEARCH_INTERNAL);
  CHECK(std::string(error.message) == "from elsewhere");

  CHECK(entry(&error, [] { throw 42; }) == VSEARCH_INTERNAL);
  CHECK(error.status == VSEARCH_INTERNAL);
  CHECK(!std::string(error.message).empty());

  CHECK(entry(&error, [] {}) == VSEARCH_OK);
  CHECK(error.status == VSEARCH_OK);
  CHECK(std::string(error.message).empty());

  CHECK(entry(nullptr, [] { throw std::bad_alloc(); }) == VSEARCH_OUT_OF_MEMORY);
}

TEST_CASE("a long text is cut before a character that does not fit") {
  char to[8];
  const auto copied = [&](const std::string& text) {
    copy_text(to, sizeof to, text);
    return std::string(to);
  };
  CHECK(copied("") == "");
  CHECK(copied("1234567") == "1234567");
  CHECK(copied("12345678") == "1234567");
  CHECK(copied("12345\xC3\xA9") == "12345\xC3\xA9");
  CHECK(copied("123456\xC3\xA9") == "123456");                     // 2 bytes, 1 fits
  CHECK(copied("12345\xE2\x82\xAC") == "12345");                   // 3 bytes, 2 fit
  CHECK(copied("1234\xF0\x9F\x91\x95x") == "1234");                // 4 bytes, 3 fit
  CHECK(copied("123\xF0\x9F\x91\x95x") == "123\xF0\x9F\x91\x95");  // 4 bytes, 4 fit
  CHECK(copied(std::string(20, '\x80')) == "");                    // no UTF-8: nothing to keep
}

TEST_CASE("a log message of any length reaches the callback") {
  std::string seen;
  const auto log = vsearch::capi::to_log(
      [](void* user, int level, const char* message) {
        *static_cast<std::string*>(user) = std::to_string(level) + message;
      },
      &seen);
  log(vsearch::LogLevel::kWarning, std::string_view("rebuilt, and more", 7));
  CHECK(seen == "1rebuilt");
  log(vsearch::LogLevel::kError, std::string(5000, 'x'));
  CHECK(seen.size() > 1000);
  CHECK(vsearch::capi::to_log(nullptr, &seen) == nullptr);
  CHECK(vsearch::capi::to_progress(nullptr, &seen) == nullptr);
}
