// _vsearch: the compiled part of the Python package. The classes that people see are those of
// vsearch/*.py; what is here takes and gives plain values.
#include "module.h"

#include <pybind11/pybind11.h>

#include <exception>

#include "convert.h"
#include "vsearch/error.h"
#include "vsearch/types.h"
#include "vsearch/version.h"

namespace py = pybind11;

namespace vsearch::python {
namespace {

void translate(std::exception_ptr raised) {
  try {
    std::rethrow_exception(raised);
  } catch (const Error& error) {
    // vsearch.errors holds the classes, so that they can be caught without this module.
    const py::object type =
        py::module_::import("vsearch.errors").attr("class_of")(static_cast<int>(error.code()));
    const py::str text = from_message(error.what());
    PyErr_SetObject(type.ptr(), text.ptr());
  }
}

}  // namespace

const char* metric_name(Metric metric) {
  switch (metric) {
    case Metric::kCosine:
      return "cosine";
    case Metric::kInnerProduct:
      return "inner_product";
    case Metric::kL2:
      return "l2";
  }
  return "unknown";
}

Metric metric_of(const std::string& name) {
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    if (name == metric_name(metric)) return metric;
  }
  throw Error(ErrorCode::kInvalidArgument,
              "metric must be 'cosine', 'inner_product' or 'l2', not '" + name + "'");
}

}  // namespace vsearch::python

PYBIND11_MODULE(_vsearch, module) {
  module.attr("version") = VSEARCH_VERSION;
  py::register_local_exception_translator(&vsearch::python::translate);
  vsearch::python::define_encoder(module);
  vsearch::python::define_index(module);
  vsearch::python::define_catalog(module);
  vsearch::python::define_measure(module);
  vsearch::python::define_train(module);
  vsearch::python::define_distill(module);
}
