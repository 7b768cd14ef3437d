// Streams beside each other, for ThreadSanitizer.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "support/bmp.h"
#include "support/fake_encoder.h"
#include "vsearch/encoder.h"

namespace {

vsearch_test::Rgb colour(std::size_t i) {
  return {static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i / 3), 90};
}

}  // namespace

TEST_CASE("streams on many threads share an encoder") {
  const vsearch_test::FakeEncoder encoder;
  constexpr std::size_t kPictures = 300;
  std::vector<vsearch::Matrix> expected;
  for (std::size_t i = 0; i < kPictures; ++i) {
    const vsearch::Image image = vsearch::decode_image(vsearch_test::plain_bmp(colour(i)));
    const vsearch::ImageView view = image.view();
    expected.push_back(encoder.encode({&view, 1}));
  }
  std::atomic<std::size_t> right = 0;
  const auto stream = [&](std::size_t stop_after) {
    std::size_t next = 0;
    const auto source = [&]() -> std::optional<vsearch::EncodeInput> {
      if (next == kPictures) return std::nullopt;
      const std::size_t i = next++;
      if (i % 50 == 49) return std::vector<std::byte>(5);  // no picture
      return vsearch_test::plain_bmp(colour(i));
    };
    const auto sink = [&](std::size_t index, std::span<const float> embedding,
                          const vsearch::Error* failure) {
      const bool bad = index % 50 == 49;
      if (bad == (failure != nullptr) &&
          (bad || std::ranges::equal(embedding, std::as_const(expected[index]).row(0)))) {
        ++right;
      }
      return index + 1 < stop_after;
    };
    vsearch::EncodeOptions options;
    options.read_threads = 3;
    options.ahead_bytes = 2000;  // some pictures: the limit is reached
    try {
      vsearch::encode_stream(encoder, source, sink, options);
    } catch (const vsearch::Error& error) {
      if (error.code() != vsearch::ErrorCode::kCancelled) throw;
    }
  };
  std::vector<std::thread> threads;
  for (const std::size_t stop_after : {kPictures + 1, kPictures + 1, std::size_t{120}}) {
    threads.emplace_back(stream, stop_after);
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 2 * kPictures + 120);
}
