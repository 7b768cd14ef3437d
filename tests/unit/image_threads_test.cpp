// Decoding on many threads at once, also under ThreadSanitizer.
#include <catch2/catch.hpp>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "support/pictures.h"
#include "vsearch/error.h"
#include "vsearch/image.h"

TEST_CASE("pictures of every format decode on many threads at once") {
  struct Picture {
    std::vector<std::byte> bytes;
    vsearch::Image expected;
  };
  std::vector<Picture> pictures;
  for (const char* name : {"progressive.jpg", "wide-on-side.jpg", "cmyk.jpg", "rgba.png",
                           "still.gif", "palette.bmp", "lossy.webp", "lossless-alpha.webp"}) {
    auto bytes = vsearch_test::picture_bytes(name);
    vsearch::Image image = vsearch::decode_image(bytes);
    pictures.push_back({std::move(bytes), std::move(image)});
  }
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int& count : wrong) {
    threads.emplace_back([&count, &pictures] {
      for (int i = 0; i < 25; ++i) {
        for (const Picture& picture : pictures) {
          if (vsearch::decode_image(picture.bytes).pixels != picture.expected.pixels) ++count;
          const auto half = std::span(picture.bytes).first(picture.bytes.size() / 2);
          try {
            vsearch::decode_image(half);
            ++count;
          } catch (const vsearch::Error&) {
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}
