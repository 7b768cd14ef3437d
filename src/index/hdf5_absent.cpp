// In place of hdf5_rows.cpp where the library is built without libhdf5.
#include <fmt/format.h>

#include "index/vector_rows.h"
#include "vsearch/error.h"

namespace vsearch::index {

std::unique_ptr<VectorFile::Rows> open_hdf5(const std::filesystem::path& path,
                                            const std::string& /*dataset*/) {
  throw Error(ErrorCode::kUnavailable,
              fmt::format("cannot read '{}': this library was built without libhdf5; install "
                          "libhdf5-dev and build it again, or convert the file to .npy",
                          path.string()));
}

}  // namespace vsearch::index
