// Pictures made on the spot: uncompressed BMP files of one colour, or of given pixels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <vector>

namespace vsearch_test {

using Rgb = std::array<std::uint8_t, 3>;

// A 24-bit BMP file; `pixel(x, y)` gives the colour, y = 0 at the top.
template <typename Pixel>
std::vector<std::byte> bmp(std::uint32_t width, std::uint32_t height, Pixel pixel) {
  constexpr std::uint32_t kHeader = 54;
  const std::uint32_t row_bytes = (width * 3 + 3) / 4 * 4;
  std::vector<std::byte> file(kHeader + std::size_t{row_bytes} * height);
  const auto put = [&](std::size_t at, std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) file[at++] = static_cast<std::byte>(value >> (8 * i));
  };
  put(0, 0x4D42, 2);  // "BM"
  put(2, static_cast<std::uint32_t>(file.size()), 4);
  put(10, kHeader, 4);
  put(14, 40, 4);  // BITMAPINFOHEADER
  put(18, width, 4);
  put(22, height, 4);
  put(26, 1, 2);   // planes
  put(28, 24, 2);  // bits per pixel
  put(34, row_bytes * height, 4);
  for (std::uint32_t y = 0; y < height; ++y) {
    for (std::uint32_t x = 0; x < width; ++x) {
      const Rgb colour = pixel(x, y);
      const std::size_t at = kHeader + std::size_t{height - 1 - y} * row_bytes + x * 3;
      for (std::size_t c = 0; c < 3; ++c) file[at + c] = std::byte{colour[2 - c]};
    }
  }
  return file;
}

inline std::vector<std::byte> plain_bmp(Rgb colour, std::uint32_t side = 8) {
  return bmp(side, side, [&](std::uint32_t, std::uint32_t) { return colour; });
}

inline void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  if (!stream.flush()) throw std::runtime_error("cannot write " + path.string());
}

inline std::vector<std::byte> read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary | std::ios::ate);
  if (!stream) throw std::runtime_error("cannot read " + path.string());
  std::vector<std::byte> bytes(static_cast<std::size_t>(stream.tellg()));
  stream.seekg(0);
  stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

}  // namespace vsearch_test
