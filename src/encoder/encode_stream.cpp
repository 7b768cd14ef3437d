// Reading, decoding and encoding side by side.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "util/read_ahead.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

// Encoded at a time. The first results should come soon, with the next pictures being decoded
// beside them; later there should be enough for every thread of a large machine.
constexpr std::size_t kFirstPictures = 8;
constexpr std::size_t kMostPictures = 64;
constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;  // of pixels that are encoded at once
constexpr std::size_t kAheadPictures = 2 * kMostPictures;

struct Job {
  std::size_t index = 0;
  EncodeInput input;
};

struct Decoded {
  std::string name;
  Image image;
  std::optional<Error> failure;

  std::uint64_t bytes() const { return image.pixels.size(); }
};

bool is_unreadable(const Error& error) {
  return error.code() == ErrorCode::kBadImage || error.code() == ErrorCode::kFileNotFound ||
         error.code() == ErrorCode::kIo;
}

Decoded decode(Job& job, const DecodeOptions& options) {
  Decoded result;
  result.name = fmt::format("picture {}", job.index + 1);
  try {
    if (const auto* const path = std::get_if<std::filesystem::path>(&job.input)) {
      result.name = path->string();
      result.image = read_image(*path, options);
    } else if (const auto* const bytes = std::get_if<std::vector<std::byte>>(&job.input)) {
      result.image = decode_image(*bytes, result.name.c_str(), options);
    } else {
      result.image = std::move(std::get<Image>(job.input));
    }
  } catch (const Error& error) {
    if (!is_unreadable(error)) throw;
    result.failure = error;
  }
  job.input = {};
  return result;
}

DecodeOptions stream_options(const Preprocessing& preprocessing, const EncodeOptions& options) {
  DecodeOptions result = decode_options(preprocessing, options.exact);
  result.limits = options.limits;
  result.lenient = options.lenient;
  return result;
}

class Stream {
 public:
  Stream(const Encoder& encoder, const EncodeSource& source, const EncodeSink& sink,
         const EncodeOptions& options)
      : encoder_(encoder),
        source_(source),
        sink_(sink),
        go_on_(options.go_on),
        decode_options_(stream_options(encoder.info().preprocessing, options)),
        ahead_(options.read_threads, options.ahead_bytes,
               [this](Job& job) { return decode(job, decode_options_); }) {}

  void run() {
    fill();
    for (std::size_t size = kFirstPictures; ahead_.pending() > 0;
         size = std::min(2 * size, kMostPictures)) {
      std::vector<Decoded> batch;
      std::uint64_t bytes = 0;
      while (batch.size() < size && bytes < kMostBytes && ahead_.pending() > 0) {
        batch.push_back(ahead_.take());
        bytes += batch.back().bytes();
        fill();
      }
      encode(batch);
    }
  }

 private:
  void fill() {
    while (!ended_ && ahead_.pending() < kAheadPictures) {
      std::optional<EncodeInput> input = source_();
      ended_ = !input;
      if (input) ahead_.push({pushed_++, *std::move(input)});
    }
  }

  void encode(const std::vector<Decoded>& batch) {
    std::vector<ImageView> views;
    for (const Decoded& picture : batch) {
      if (!picture.failure) views.push_back(picture.image.view());
    }
    // Failures of decoding come between the embeddings, in the order of the source.
    auto next = batch.begin();
    const auto give_failures = [&] {
      for (; next != batch.end() && next->failure; ++next) give({}, &*next->failure);
    };
    const auto sink = [&](std::size_t, std::span<const float> embedding, const Error* failure) {
      give_failures();
      const Decoded& picture = *next++;
      if (failure == nullptr) {
        give(embedding, nullptr);
      } else {
        const Error named(failure->code(), fmt::format("{}: {}", picture.name, failure->what()));
        give({}, &named);
      }
      return true;
    };
    encode_each(encoder_, views, sink, stop_if_asked());
    give_failures();
  }

  Progress stop_if_asked() const {
    if (!go_on_) return {};
    return [this](std::uint64_t, std::uint64_t) { return go_on_(); };
  }

  void give(std::span<const float> embedding, const Error* failure) {
    const std::size_t index = given_++;
    if (sink_(index, embedding, failure)) return;
    throw Error(ErrorCode::kCancelled, fmt::format("encoding was cancelled after {} {}", given_,
                                                   given_ == 1 ? "picture" : "pictures"));
  }

  const Encoder& encoder_;
  const EncodeSource& source_;
  const EncodeSink& sink_;
  const std::function<bool()>& go_on_;
  const DecodeOptions decode_options_;
  bool ended_ = false;
  std::size_t pushed_ = 0;
  std::size_t given_ = 0;
  util::ReadAhead<Job, Decoded> ahead_;  // last: its threads use the members above
};

}  // namespace

void encode_stream(const Encoder& encoder, const EncodeSource& source, const EncodeSink& sink,
                   const EncodeOptions& options) {
  Stream(encoder, source, sink, options).run();
}

EncodedFiles encode_files(const Encoder& encoder, std::span<const std::filesystem::path> files,
                          const EncodeOptions& options, const Progress& progress) {
  EncodedFiles result;
  result.embeddings = Matrix(files.size(), encoder.info().dim);
  std::size_t next = 0;
  std::size_t done = 0;
  const auto source = [&]() -> std::optional<EncodeInput> {
    if (next == files.size()) return std::nullopt;
    return files[next++];
  };
  const auto sink = [&](std::size_t index, std::span<const float> embedding, const Error* failure) {
    const std::span<float> row = result.embeddings.row(index);
    if (failure != nullptr) {
      std::ranges::fill(row, std::numeric_limits<float>::quiet_NaN());
      result.failures.push_back({index, *failure});
    } else {
      std::ranges::copy(embedding, row.begin());
    }
    done = index + 1;
    return !progress || progress(done, files.size());
  };
  EncodeOptions stoppable = options;
  stoppable.go_on = [&] {
    return (!options.go_on || options.go_on()) && (!progress || progress(done, files.size()));
  };
  encode_stream(encoder, source, sink, stoppable);
  return result;
}

}  // namespace vsearch
