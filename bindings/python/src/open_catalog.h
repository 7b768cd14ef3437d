// A catalogue as Python holds it, and how its members are called.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "convert.h"
#include "vsearch/catalog.h"

namespace vsearch::python {

// A catalogue that can be closed. A call that is running on another thread keeps it open until it
// returns.
class OpenCatalog {
 public:
  explicit OpenCatalog(Catalog catalog) : catalog_(std::make_shared<Catalog>(std::move(catalog))) {}
  OpenCatalog(const OpenCatalog&) = delete;
  OpenCatalog& operator=(const OpenCatalog&) = delete;
  ~OpenCatalog() { close(); }

  // Called with the GIL held, which guards catalog_.
  std::shared_ptr<Catalog> get() const {
    if (!catalog_)
      throw Error(ErrorCode::kInvalidArgument, "the catalogue is closed: open it again");
    return catalog_;
  }
  bool closed() const { return catalog_ == nullptr; }
  void close() {
    std::shared_ptr<Catalog> last = std::move(catalog_);
    const py::gil_scoped_release no_gil;  // closing saves the index and may log
    last.reset();
  }

 private:
  std::shared_ptr<Catalog> catalog_;
};

// Runs `body` with the open catalogue and without the GIL: every member of Catalog may wait for
// another thread, and that thread may wait for the GIL to log or to report progress.
template <class Body>
auto without_gil(const OpenCatalog& self, Body&& body) {
  std::shared_ptr<Catalog> catalog = self.get();
  const py::gil_scoped_release no_gil;
  // Moved inside so that the last owner lets go without the GIL.
  const std::shared_ptr<Catalog> open = std::move(catalog);
  return std::forward<Body>(body)(*open);
}

// The same as one long call: `body` gets the catalogue and the Progress to hand on.
template <class Body>
auto run(LongCall& call, const OpenCatalog& self, Body&& body) {
  std::shared_ptr<Catalog> catalog = self.get();
  return call.run([&](const Progress& progress) {
    const std::shared_ptr<Catalog> open = std::move(catalog);
    return std::forward<Body>(body)(*open, progress);
  });
}

inline py::list from_texts(const std::vector<std::string>& texts) {
  py::list result;
  for (const std::string& text : texts) result.append(from_message(text));
  return result;
}

// (left, top, right, bottom). Throws TypeError.
CropBox to_crop(py::handle crop);
py::tuple from_crop(const CropBox& crop);

// (added, replaced, encoded, failures); a failure is (key, path, number of the error, message).
py::tuple from_report(const AddReport& report);
// A failure of one item or picture, as in from_report().
template <class Failure>
py::tuple from_failure(const Failure& failure) {
  return py::make_tuple(from_message(failure.key), from_path(failure.path),
                        static_cast<int>(failure.code), from_message(failure.message));
}

// A Fetch that calls `fetch(uri)`, which gives bytes. What it raises is the picture's fault.
Fetch to_fetch(py::object fetch);

void define_sync(py::class_<OpenCatalog>& catalog);
void define_editions(py::class_<OpenCatalog>& catalog);
void define_care(py::class_<OpenCatalog>& catalog);

}  // namespace vsearch::python
