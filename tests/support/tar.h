// The files in an uncompressed tar archive (POSIX ustar, with GNU's long names).
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/bmp.h"

namespace vsearch_test {

class TarArchive {
 public:
  struct File {
    std::string name;
    std::span<const std::byte> bytes;
  };

  explicit TarArchive(const std::filesystem::path& path) : bytes_(read_file(path)) {
    constexpr std::size_t kBlock = 512;
    std::string long_name;
    for (std::size_t at = 0; at + kBlock <= bytes_.size() && bytes_[at] != std::byte{0};) {
      const std::size_t size = std::stoul(text(at + 124, 12), nullptr, 8);
      const char type = static_cast<char>(bytes_[at + 156]);
      const std::size_t data = at + kBlock;
      if (size > bytes_.size() - data) throw std::runtime_error(path.string() + " is cut");
      if (type == 'L') {
        long_name = text(data, size);
      } else {
        const std::string prefix = text(at + 345, 155);
        const std::string name = (prefix.empty() ? "" : prefix + "/") + text(at, 100);
        if (type == '0' || type == '\0') {
          files_.push_back(
              {long_name.empty() ? name : long_name, std::span(bytes_).subspan(data, size)});
        }
        long_name.clear();
      }
      at = data + (size + kBlock - 1) / kBlock * kBlock;
    }
  }
  TarArchive(const TarArchive&) = delete;
  TarArchive& operator=(const TarArchive&) = delete;

  const std::vector<File>& files() const { return files_; }

 private:
  // A field ends at its first zero byte.
  std::string text(std::size_t at, std::size_t size) const {
    const std::string_view field(reinterpret_cast<const char*>(bytes_.data()) + at, size);
    return std::string(field.substr(0, field.find('\0')));
  }

  std::vector<std::byte> bytes_;
  std::vector<File> files_;
};

}  // namespace vsearch_test
