// Encoding what Python gives: files, bytes and pixels, mixed as they come.
#pragma once

#include <span>
#include <string>

#include "convert.h"
#include "vsearch/encoder.h"

namespace vsearch::python {

struct EncodeCall {
  EncodeOptions options;
  // Report a picture that cannot be encoded, as encode_files() does, instead of throwing its error.
  bool keep_going = false;
};

// One embedding per picture, in their order; files and bytes are read and decoded ahead of the
// network. Called without the GIL. Throws what encode_stream() throws, and, unless it shall keep
// going, the error of a picture, under the name of its PictureArgument.
EncodedFiles encode_pictures(const Encoder& encoder, std::span<const PictureArgument> pictures,
                             const EncodeCall& call, const Progress& progress);

// The local tokens of pictures, decoding a few at a time. Called without the GIL.
Tokens encode_tokens(const Encoder& encoder, std::span<const PictureArgument> pictures, bool exact,
                     const Progress& progress);

// One embedding per text. Called without the GIL.
Matrix encode_texts(const Encoder& encoder, std::span<const std::string> texts,
                    const Progress& progress);

}  // namespace vsearch::python
