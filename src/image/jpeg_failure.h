// What libjpeg finds wrong. Its error function must not return and cannot throw through C: it notes
// what happened and jumps back to where the call came from, which throws.
#pragma once

#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>

namespace vsearch::image {

struct JpegFailure : jpeg_error_mgr {
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX] = {};
};

[[noreturn]] inline void on_jpeg_error(j_common_ptr info) {
  auto* const failure = static_cast<JpegFailure*>(info->err);
  failure->format_message(info, failure->message);
  std::longjmp(failure->back, 1);
}

// libjpeg writes to stderr, which is the host's.
inline void print_no_jpeg_message(j_common_ptr) {}

}  // namespace vsearch::image
