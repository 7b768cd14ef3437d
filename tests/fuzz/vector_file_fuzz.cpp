// Any bytes under every name: VectorFile reads them or says kInvalidArgument. The sanitizers watch
// for the rest. HDF5 is libhdf5's own affair.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "support/temp_dir.h"
#include "vsearch/error.h"
#include "vsearch/vector_file.h"

namespace {

void read_all(const std::filesystem::path& path) {
  try {
    const vsearch::VectorFile file(path);
    // As many numbers as the file has bytes, at most: so it has been checked.
    if (file.holds_ids()) {
      std::vector<vsearch::Id> ids(file.rows() * file.dim());
      file.read_ids(0, ids);
    } else {
      std::vector<float> values(file.rows() * file.dim());
      file.read(0, values);
    }
  } catch (const vsearch::Error& error) {
    if (error.code() != vsearch::ErrorCode::kInvalidArgument) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const vsearch_test::TempDir folder;
  std::ofstream(folder / "it.npy", std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  read_all(folder / "it.npy");
  for (const char* other : {"it.fvecs", "it.bvecs", "it.ivecs"}) {
    if (!std::filesystem::exists(folder / other)) {
      std::filesystem::create_hard_link(folder / "it.npy", folder / other);
    }
    read_all(folder / other);
  }
  return 0;
}
