// write_across(): words in pictures, in a small font of our own.
#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

#include "eval/picture_changes.h"

namespace vsearch::eval {
namespace {

constexpr std::uint32_t kGlyphWidth = 5;
constexpr std::uint32_t kGlyphHeight = 7;
constexpr std::uint32_t kAdvance = kGlyphWidth + 1;
constexpr std::size_t kMostLetters = 14;

// Seven rows of five pixels each.
struct Glyph {
  char letter;
  std::array<std::string_view, kGlyphHeight> rows;
};

constexpr std::array<Glyph, 36> kFont{{
    {'A', {".###.", "#...#", "#...#", "#####", "#...#", "#...#", "#...#"}},
    {'B', {"####.", "#...#", "#...#", "####.", "#...#", "#...#", "####."}},
    {'C', {".####", "#....", "#....", "#....", "#....", "#....", ".####"}},
    {'D', {"####.", "#...#", "#...#", "#...#", "#...#", "#...#", "####."}},
    {'E', {"#####", "#....", "#....", "####.", "#....", "#....", "#####"}},
    {'F', {"#####", "#....", "#....", "####.", "#....", "#....", "#...."}},
    {'G', {".####", "#....", "#....", "#..##", "#...#", "#...#", ".####"}},
    {'H', {"#...#", "#...#", "#...#", "#####", "#...#", "#...#", "#...#"}},
    {'I', {".###.", "..#..", "..#..", "..#..", "..#..", "..#..", ".###."}},
    {'J', {"....#", "....#", "....#", "....#", "....#", "#...#", ".###."}},
    {'K', {"#...#", "#..#.", "#.#..", "##...", "#.#..", "#..#.", "#...#"}},
    {'L', {"#....", "#....", "#....", "#....", "#....", "#....", "#####"}},
    {'M', {"#...#", "##.##", "#.#.#", "#.#.#", "#...#", "#...#", "#...#"}},
    {'N', {"#...#", "##..#", "##..#", "#.#.#", "#..##", "#..##", "#...#"}},
    {'O', {".###.", "#...#", "#...#", "#...#", "#...#", "#...#", ".###."}},
    {'P', {"####.", "#...#", "#...#", "####.", "#....", "#....", "#...."}},
    {'Q', {".###.", "#...#", "#...#", "#...#", "#.#.#", "#..#.", ".##.#"}},
    {'R', {"####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#"}},
    {'S', {".####", "#....", "#....", ".###.", "....#", "....#", "####."}},
    {'T', {"#####", "..#..", "..#..", "..#..", "..#..", "..#..", "..#.."}},
    {'U', {"#...#", "#...#", "#...#", "#...#", "#...#", "#...#", ".###."}},
    {'V', {"#...#", "#...#", "#...#", "#...#", ".#.#.", ".#.#.", "..#.."}},
    {'W', {"#...#", "#...#", "#...#", "#.#.#", "#.#.#", "##.##", "#...#"}},
    {'X', {"#...#", "#...#", ".#.#.", "..#..", ".#.#.", "#...#", "#...#"}},
    {'Y', {"#...#", "#...#", ".#.#.", "..#..", "..#..", "..#..", "..#.."}},
    {'Z', {"#####", "....#", "...#.", "..#..", ".#...", "#....", "#####"}},
    {'0', {".###.", "#..##", "#.#.#", "#.#.#", "#.#.#", "##..#", ".###."}},
    {'1', {"..#..", ".##..", "..#..", "..#..", "..#..", "..#..", ".###."}},
    {'2', {".###.", "#...#", "....#", "..##.", ".#...", "#....", "#####"}},
    {'3', {"####.", "....#", "....#", ".###.", "....#", "....#", "####."}},
    {'4', {"#..#.", "#..#.", "#..#.", "#####", "...#.", "...#.", "...#."}},
    {'5', {"#####", "#....", "####.", "....#", "....#", "#...#", ".###."}},
    {'6', {".###.", "#....", "#....", "####.", "#...#", "#...#", ".###."}},
    {'7', {"#####", "....#", "...#.", "...#.", "..#..", "..#..", "..#.."}},
    {'8', {".###.", "#...#", "#...#", ".###.", "#...#", "#...#", ".###."}},
    {'9', {".###.", "#...#", "#...#", ".####", "....#", "....#", ".###."}},
}};

std::string printable(std::string_view word) {
  std::string result;
  for (const char c : word.substr(0, kMostLetters)) {
    result += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return result;
}

bool is_ink(const std::string& text, std::uint32_t x, std::uint32_t y) {
  if (x % kAdvance == kGlyphWidth) return false;
  const auto glyph = std::ranges::find(kFont, text[x / kAdvance], &Glyph::letter);
  return glyph != kFont.end() && glyph->rows[y][x % kAdvance] == '#';
}

}  // namespace

Image write_across(const Image& image, std::string_view word) {
  const std::string text = printable(word);
  if (text.empty() || image.width_px == 0 || image.height_px == 0) return image;
  // In units of the font's pixels, with one of margin at every side. The band is as wide as the
  // picture, or a quarter as high if that is less.
  const auto columns = static_cast<std::uint32_t>(text.size()) * kAdvance + 1;
  constexpr std::uint32_t kRows = kGlyphHeight + 2;
  const float unit = std::min(static_cast<float>(image.width_px) / static_cast<float>(columns),
                              static_cast<float>(image.height_px) / (4.0F * kRows));
  const float left = (static_cast<float>(image.width_px) - unit * static_cast<float>(columns)) / 2;
  const float top = (static_cast<float>(image.height_px) - unit * kRows) / 2;

  Image result = image;
  for (std::uint32_t y = 0; y < image.height_px; ++y) {
    const float row = (static_cast<float>(y) + 0.5F - top) / unit;
    if (row < 0 || row >= kRows) continue;
    const auto glyph_y = static_cast<std::uint32_t>(row);
    for (std::uint32_t x = 0; x < image.width_px; ++x) {
      const float column = (static_cast<float>(x) + 0.5F - left) / unit;
      if (column < 0 || column >= static_cast<float>(columns)) continue;
      const auto glyph_x = static_cast<std::uint32_t>(column);
      const bool ink = glyph_y >= 1 && glyph_y <= kGlyphHeight && glyph_x >= 1 &&
                       is_ink(text, glyph_x - 1, glyph_y - 1);
      std::fill_n(result.pixels.begin() + (std::ptrdiff_t{y} * image.width_px + x) * 3, 3,
                  static_cast<std::uint8_t>(ink ? 255 : 0));
    }
  }
  return result;
}

}  // namespace vsearch::eval
