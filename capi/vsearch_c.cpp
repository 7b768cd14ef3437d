// The parts of the C interface that belong to no handle.
#include "vsearch_c.h"

#include "vsearch/version.h"

const char* vsearch_version(void) {
  return VSEARCH_VERSION;
}

const char* vsearch_status_name(vsearch_status status) {
  switch (status) {
    case VSEARCH_OK:
      return "ok";
    case VSEARCH_INVALID_ARGUMENT:
      return "invalid argument";
    case VSEARCH_FILE_NOT_FOUND:
      return "file not found";
    case VSEARCH_KEY_NOT_FOUND:
      return "key not found";
    case VSEARCH_ALREADY_EXISTS:
      return "already exists";
    case VSEARCH_BAD_IMAGE:
      return "bad image";
    case VSEARCH_BAD_MODEL:
      return "bad model";
    case VSEARCH_ENCODER_MISMATCH:
      return "encoder mismatch";
    case VSEARCH_BUSY:
      return "busy";
    case VSEARCH_CORRUPT:
      return "corrupt";
    case VSEARCH_IO:
      return "input/output error";
    case VSEARCH_CANCELLED:
      return "cancelled";
    case VSEARCH_UNAVAILABLE:
      return "unavailable";
    case VSEARCH_OUT_OF_MEMORY:
      return "out of memory";
    case VSEARCH_INTERNAL:
      return "internal error";
    case VSEARCH_REFUSED:
      return "refused";
    default:
      return "unknown status";
  }
}
