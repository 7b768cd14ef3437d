// What lies behind the opaque handles of the C interface that several of its files share.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "vsearch/catalog.h"
#include "vsearch/encoder.h"
#include "vsearch_c.h"

struct vsearch_encoder {
  std::shared_ptr<vsearch::Encoder> encoder;
  std::string reference;  // what a catalogue records of it
};

struct vsearch_catalog {
  vsearch::Catalog catalog;
};

struct vsearch_text {
  const std::string text;
};

namespace vsearch::capi {

// The failures of an AddReport or a SyncReport, pointing into it.
template <class Failure>
std::vector<vsearch_add_failure> to_failures(const std::vector<Failure>& failures) {
  std::vector<vsearch_add_failure> result;
  result.reserve(failures.size());
  for (const Failure& failure : failures) {
    result.push_back({failure.key.c_str(), failure.path.c_str(),
                      static_cast<vsearch_status>(failure.code), failure.message.c_str()});
  }
  return result;
}

}  // namespace vsearch::capi

struct vsearch_add_report {
  explicit vsearch_add_report(vsearch::AddReport done)
      : report(std::move(done)), failures(vsearch::capi::to_failures(report.failures)) {}
  vsearch_add_report(const vsearch_add_report&) = delete;
  vsearch_add_report& operator=(const vsearch_add_report&) = delete;

  const vsearch::AddReport report;
  const std::vector<vsearch_add_failure> failures;  // pointing into report
};
