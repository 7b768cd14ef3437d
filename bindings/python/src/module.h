// The parts of the module, one file each.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "vsearch/encoder.h"
#include "vsearch/index_health.h"

namespace vsearch::python {

// An encoder, and the name or file it came from as a catalogue records it.
struct LoadedEncoder {
  std::shared_ptr<Encoder> encoder;
  std::string reference;
};

const char* metric_name(Metric metric);
Metric metric_of(const std::string& name);  // throws kInvalidArgument

pybind11::dict to_dict(IndexHealth health);

void define_encoder(pybind11::module_& module);
void define_index(pybind11::module_& module);
void define_catalog(pybind11::module_& module);
void define_measure(pybind11::module_& module);  // after the others
void define_train(pybind11::module_& module);    // after define_measure()
void define_distill(pybind11::module_& module);  // likewise

}  // namespace vsearch::python
