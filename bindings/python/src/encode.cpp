#include "encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace vsearch::python {
namespace {

// Between two looks for Ctrl-C.
constexpr std::size_t kPicturesAtATime = 16;
constexpr std::size_t kTextsAtATime = 64;

// The library counts the pictures of its own call; the caller knows them by other names.
Error renamed(const Error& error, std::size_t number, const std::string& name) {
  std::string message = error.what();
  const std::string counted = fmt::format("picture {}:", number);
  if (message.starts_with(counted)) message.replace(0, counted.size(), name + ":");
  return Error(error.code(), message);
}

void go_on_or_throw(const Progress& progress, std::size_t done, std::size_t total) {
  if (progress(done, total)) return;
  throw Error(ErrorCode::kCancelled,
              fmt::format("encoding was cancelled after {} of {}", done, total));
}

// One call of encode_pictures().
class Work {
 public:
  Work(const Encoder& encoder, std::span<const PictureArgument> pictures, const EncodeCall& call,
       const Progress& progress)
      : encoder_(encoder), pictures_(pictures), call_(call), progress_(progress) {
    result_.embeddings = Matrix(pictures.size(), encoder.info().dim);
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      if (pictures[i].fault()) {
        fail(i, *pictures[i].fault());
      } else {
        (pictures[i].has_pixels() ? with_pixels_ : encoded_).push_back(i);
      }
    }
  }

  EncodedFiles run() {
    if (!encoded_.empty()) encode_encoded();
    if (!with_pixels_.empty()) encode_pixels();
    std::ranges::sort(result_.failures, {}, &EncodeFailure::index);
    return std::move(result_);
  }

 private:
  void encode_encoded() {
    std::size_t next = 0;
    const auto source = [&]() -> std::optional<EncodeInput> {
      if (next == encoded_.size()) return std::nullopt;
      const PictureArgument& picture = pictures_[encoded_[next++]];
      if (!picture.has_bytes()) return std::filesystem::path(picture.path());
      return std::vector<std::byte>(picture.bytes().begin(), picture.bytes().end());
    };
    const auto sink = [&](std::size_t i, std::span<const float> embedding, const Error* failure) {
      const std::size_t index = encoded_[i];
      if (failure != nullptr) {
        fail(index, renamed(*failure, i + 1, pictures_[index].name()));
      } else {
        std::ranges::copy(embedding, result_.embeddings.row(index).begin());
      }
      return progress_(i + 1, pictures_.size());
    };
    encode_stream(encoder_, source, sink, call_.options);
  }

  void encode_pixels() {
    std::vector<ImageView> views;
    for (const std::size_t i : with_pixels_) views.push_back(pictures_[i].pixels());
    const auto report = [&](std::uint64_t done, std::uint64_t) {
      return progress_(encoded_.size() + done, pictures_.size());
    };
    const auto sink = [&](std::size_t i, std::span<const float> embedding, const Error* failure) {
      const std::size_t index = with_pixels_[i];
      if (failure == nullptr) {
        std::ranges::copy(embedding, result_.embeddings.row(index).begin());
      } else {
        const std::string message = fmt::format("{}: {}", pictures_[index].name(), failure->what());
        fail(index, Error(failure->code(), message));
      }
      return true;
    };
    encode_each(encoder_, views, sink, report);
  }

  void fail(std::size_t index, Error error) {
    if (!call_.keep_going) throw error;
    std::ranges::fill(result_.embeddings.row(index), std::numeric_limits<float>::quiet_NaN());
    result_.failures.push_back({index, std::move(error)});
  }

  const Encoder& encoder_;
  const std::span<const PictureArgument> pictures_;
  const EncodeCall& call_;
  const Progress& progress_;
  std::vector<std::size_t> encoded_;      // the pictures that must be decoded
  std::vector<std::size_t> with_pixels_;  // the others
  EncodedFiles result_;
};

}  // namespace

EncodedFiles encode_pictures(const Encoder& encoder, std::span<const PictureArgument> pictures,
                             const EncodeCall& call, const Progress& progress) {
  return Work(encoder, pictures, call, progress).run();
}

Tokens encode_tokens(const Encoder& encoder, std::span<const PictureArgument> pictures, bool exact,
                     const Progress& progress) {
  const DecodeOptions options = decode_options(encoder.info().preprocessing, exact);
  // Without pictures too: a model without tokens must say so.
  Tokens result = encoder.encode_tokens({});
  for (std::size_t begin = 0; begin < pictures.size(); begin += kPicturesAtATime) {
    const auto part = pictures.subspan(begin, std::min(kPicturesAtATime, pictures.size() - begin));
    std::vector<Image> decoded(part.size());
    std::vector<ImageView> views;
    for (std::size_t i = 0; i < part.size(); ++i) {
      views.push_back(part[i].view(decoded[i], options));
    }
    Tokens tokens = encoder.encode_tokens(views);
    if (begin > 0 && tokens.per_picture != result.per_picture) {
      throw Error(ErrorCode::kBadModel,
                  fmt::format("the model gave {} tokens of a picture, and {} of another",
                              result.per_picture, tokens.per_picture));
    }
    result.per_picture = tokens.per_picture;
    result.dim = tokens.dim;
    result.values.insert(result.values.end(), tokens.values.begin(), tokens.values.end());
    go_on_or_throw(progress, begin + part.size(), pictures.size());
  }
  return result;
}

Matrix encode_texts(const Encoder& encoder, std::span<const std::string> texts,
                    const Progress& progress) {
  if (texts.empty()) return encoder.encode_text(texts);
  Matrix result(texts.size(), encoder.info().dim);
  for (std::size_t begin = 0; begin < texts.size(); begin += kTextsAtATime) {
    const auto part = texts.subspan(begin, std::min(kTextsAtATime, texts.size() - begin));
    const Matrix rows = encoder.encode_text(part);
    std::ranges::copy(rows.data, result.row(begin).begin());
    go_on_or_throw(progress, begin + part.size(), texts.size());
  }
  return result;
}

}  // namespace vsearch::python
