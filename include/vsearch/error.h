// The one exception of the library.
#pragma once

#include <stdexcept>
#include <string>

namespace vsearch {

// What went wrong, for code that decides. The numbers are those of vsearch_status in the C header
// and never change.
enum class ErrorCode : int {
  kInvalidArgument = 1,  // a value the caller passed: wrong dimension, NaN, k = 0, a bad expression
  kFileNotFound = 2,     // a path that should be there and is not
  kKeyNotFound = 3,      // no item with this key
  kAlreadyExists = 4,    // a catalogue is already at this path
  kBadImage = 5,  // a picture that cannot be read: empty, truncated, not a picture, too large
  kBadModel = 6,  // a model file that is no package, or that fails its golden pairs
  kEncoderMismatch = 7,  // the catalogue's embeddings come from another encoder
  kBusy = 8,             // open in another process: a catalogue, a database, a run's folder
  kCorrupt = 9,          // a file of ours is damaged
  kIo = 10,              // the operating system refused a read or a write
  kCancelled = 11,       // the caller's progress callback asked to stop
  kUnavailable = 12,     // not in this build or on this machine: no torch, no CUDA
  kOutOfMemory = 13,
  kInternal = 14,  // a defect of the library
  kRefused = 15,   // a guard against harm said no: too many removals, a model that finds less
};

// Thrown by every function of the library that fails. what() names the input and the remedy.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace vsearch
