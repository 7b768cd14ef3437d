// Runs a libFuzzer target without libFuzzer, for compilers that have none: every seed once, then a
// fixed number of changed seeds, the same ones in every run. It knows nothing of coverage; for a
// real search there is `make fuzz`.
//
//   decode_fuzz RUNS FILE|FOLDER|ARCHIVE.tar...
#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "support/tar.h"

extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
// Of AddressSanitizer, where that is there.
[[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());
}

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

constexpr std::size_t kMostSeedBytes = std::size_t{64} << 10;  // larger ones only cost time
constexpr const char* kCulprit = "fuzz-culprit.bin";

// splitmix64: the same numbers with every standard library.
class Random {
 public:
  std::size_t below(std::size_t n) {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return static_cast<std::size_t>((z ^ (z >> 31)) % n);
  }

 private:
  std::uint64_t state_ = 4;
};

void collect(const fs::path& path, std::vector<Bytes>& seeds) {
  if (fs::is_directory(path)) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(path)) files.push_back(entry.path());
    std::ranges::sort(files);
    for (const fs::path& file : files) collect(file, seeds);
  } else if (path.extension() == ".tar") {
    const vsearch_test::TarArchive archive(path);
    for (const auto& file : archive.files())
      seeds.emplace_back(file.bytes.begin(), file.bytes.end());
  } else {
    seeds.push_back(vsearch_test::read_file(path));
  }
}

// One small change of the kinds that break parsers.
void change(Bytes& bytes, const std::vector<Bytes>& seeds, Random& random) {
  static constexpr std::uint8_t kTelling[] = {0x00, 0x01, 0x7F, 0x80, 0xFF, 0xFE, 0x10, 0x40};
  if (bytes.empty()) bytes.resize(1);
  const std::size_t at = random.below(bytes.size());
  const std::size_t length = 1 + random.below(std::min<std::size_t>(bytes.size() - at, 16));
  const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(at);
  switch (random.below(7)) {
    case 0:
      bytes[at] ^= static_cast<std::byte>(1U << random.below(8));
      break;
    case 1:
      bytes[at] = std::byte{kTelling[random.below(std::size(kTelling))]};
      break;
    case 2:
      bytes[at] = static_cast<std::byte>(random.below(256));
      break;
    case 3:
      bytes.erase(from, from + static_cast<std::ptrdiff_t>(length));
      break;
    case 4: {
      const Bytes copy(from, from + static_cast<std::ptrdiff_t>(length));
      bytes.insert(from, copy.begin(), copy.end());
      break;
    }
    case 5:
      bytes.resize(at);
      break;
    default: {  // the beginning of this and the end of another
      const Bytes& other = seeds[random.below(seeds.size())];
      const std::size_t rest = other.empty() ? 0 : random.below(other.size());
      bytes.resize(at);
      bytes.insert(bytes.end(), other.end() - static_cast<std::ptrdiff_t>(rest), other.end());
      break;
    }
  }
}

const Bytes* running = nullptr;

// Leaves the input that broke the target in the current folder.
void keep_culprit() {
  if (running == nullptr) return;
  vsearch_test::write_file(kCulprit, *running);
  std::fprintf(stderr, "the input that did it: %s\n", kCulprit);
  running = nullptr;
}
void on_abort(int) {
  keep_culprit();
}

void run(const Bytes& bytes) {
  running = &bytes;
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  running = nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s RUNS FILE|FOLDER|ARCHIVE.tar...\n", argv[0]);
    return 2;
  }
  std::signal(SIGABRT, on_abort);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(keep_culprit);
  std::vector<Bytes> seeds;
  for (int i = 2; i < argc; ++i) {
    if (fs::exists(argv[i])) collect(argv[i], seeds);
  }
  std::erase_if(seeds, [](const Bytes& seed) { return seed.size() > kMostSeedBytes; });
  if (seeds.empty()) {
    std::fprintf(stderr, "%s: no seeds\n", argv[0]);
    return 2;
  }
  for (const Bytes& seed : seeds) run(seed);
  Random random;
  const unsigned long runs = std::strtoul(argv[1], nullptr, 10);
  for (unsigned long i = 0; i < runs; ++i) {
    Bytes bytes = seeds[random.below(seeds.size())];
    const std::size_t changes = 1 + random.below(4);
    for (std::size_t k = 0; k < changes; ++k) change(bytes, seeds, random);
    run(bytes);
  }
  std::printf("%zu seeds and %lu changed ones: no fault\n", seeds.size(), runs);
  return 0;
}
