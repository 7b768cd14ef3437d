// The C interface to the editions of a catalogue: another encoder takes over, and back.
#include "vsearch/edition.h"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "boundary.h"
#include "handles.h"
#include "vsearch/catalog.h"

namespace capi = vsearch::capi;

namespace {

static_assert(static_cast<int>(vsearch::EditionState::kServing) == VSEARCH_EDITION_SERVING);
static_assert(static_cast<int>(vsearch::EditionState::kBuilding) == VSEARCH_EDITION_BUILDING);
static_assert(static_cast<int>(vsearch::EditionState::kKept) == VSEARCH_EDITION_KEPT);

// Pointing into `edition`.
vsearch_edition to_view(const vsearch::EditionInfo& edition) {
  return {edition.id,
          static_cast<vsearch_edition_state>(edition.state),
          edition.dim,
          static_cast<std::uint32_t>(edition.metric),
          edition.encoder.c_str(),
          edition.encoder_name.c_str(),
          edition.encoder_fingerprint.c_str(),
          edition.embeddings};
}

vsearch_edition_comparison to_view(const vsearch::EditionComparison& comparison) {
  return {comparison.k,        comparison.sampled,       comparison.overlap,
          comparison.labelled, comparison.recall_before, comparison.recall_after};
}

std::vector<vsearch::LabelledQuery> to_queries(const vsearch_reencode_options& given) {
  const capi::StructArray queries(
      given.queries, given.query_count,
      offsetof(vsearch_labelled_query, relevant_count) + sizeof(given.queries->relevant_count),
      "options.queries");
  std::vector<vsearch::LabelledQuery> result;
  result.reserve(queries.size());
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const vsearch_labelled_query query = queries[i];
    result.push_back({capi::text_or_empty(query.key), capi::text_or_empty(query.path),
                      capi::to_texts<std::string>(query.relevant, query.relevant_count,
                                                  queries.name(i) + ".relevant")});
  }
  return result;
}

vsearch::ReencodeOptions to_options(const vsearch_reencode_options& given,
                                    const vsearch_encoder& encoder) {
  vsearch::ReencodeOptions options;
  options.encoder_ref = given.encoder_ref != nullptr ? given.encoder_ref : encoder.reference;
  options.keep_old = given.drop_old == 0;
  options.max_missing_share = given.max_missing_share;
  options.k = capi::or_default(given.k, options.k);
  options.sample = capi::or_default(given.sample, options.sample);
  options.queries = to_queries(given);
  options.seed = capi::or_default(given.seed, options.seed);
  options.min_overlap = given.min_overlap;
  if (given.has_max_recall_loss != 0) options.max_recall_loss = given.max_recall_loss;
  if (given.gate != nullptr) {
    options.gate = [gate = given.gate,
                    user = given.gate_user](const vsearch::EditionComparison& comparison) {
      const vsearch_edition_comparison view = to_view(comparison);
      return gate(user, &view) == 0;
    };
  }
  return options;
}

}  // namespace

struct vsearch_editions {
  std::vector<vsearch::EditionInfo> found;
  std::vector<vsearch_edition> editions;  // pointing into found
};

struct vsearch_reencode_report {
  explicit vsearch_reencode_report(vsearch::ReencodeReport done)
      : report(std::move(done)),
        edition(to_view(report.edition)),
        comparison(to_view(report.comparison)) {
    missing.reserve(report.missing.size());
    for (const auto& picture : report.missing) {
      missing.push_back(
          {picture.picture, picture.key.c_str(), picture.path.c_str(), picture.message.c_str()});
    }
  }
  vsearch_reencode_report(const vsearch_reencode_report&) = delete;
  vsearch_reencode_report& operator=(const vsearch_reencode_report&) = delete;

  const vsearch::ReencodeReport report;
  const vsearch_edition edition;  // pointing into report
  const vsearch_edition_comparison comparison;
  std::vector<vsearch_missing_picture> missing;  // pointing into report
};

vsearch_status vsearch_catalog_editions(const vsearch_catalog* catalog, vsearch_editions** out,
                                        vsearch_error* error) {
  return capi::make_handle(out, error, [&] {
    capi::require(catalog, "catalog");
    auto result = std::make_unique<vsearch_editions>();
    result->found = catalog->catalog.editions();
    for (const vsearch::EditionInfo& edition : result->found) {
      result->editions.push_back(to_view(edition));
    }
    return result;
  });
}

size_t vsearch_editions_count(const vsearch_editions* editions) {
  return editions != nullptr ? editions->editions.size() : 0;
}

const vsearch_edition* vsearch_editions_at(const vsearch_editions* editions, size_t i) {
  return i < vsearch_editions_count(editions) ? &editions->editions[i] : nullptr;
}

void vsearch_editions_free(vsearch_editions* editions) {
  delete editions;
}

vsearch_status vsearch_catalog_reencode(vsearch_catalog* catalog, const vsearch_encoder* encoder,
                                        const vsearch_reencode_options* options,
                                        vsearch_reencode_report** report, vsearch_error* error) {
  if (report != nullptr) *report = nullptr;
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    capi::require(encoder, "encoder");
    const auto given = capi::read_options(options, "options");
    auto result = std::make_unique<vsearch_reencode_report>(
        catalog->catalog.reencode(encoder->encoder, to_options(given, *encoder),
                                  capi::to_progress(given.progress, given.progress_user)));
    if (report != nullptr) *report = result.release();
  });
}

vsearch_status vsearch_catalog_rollback(vsearch_catalog* catalog,
                                        const vsearch_work_options* options,
                                        vsearch_reencode_report** report, vsearch_error* error) {
  if (report != nullptr) *report = nullptr;
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    auto result = std::make_unique<vsearch_reencode_report>(
        catalog->catalog.rollback(capi::to_progress(options)));
    if (report != nullptr) *report = result.release();
  });
}

const vsearch_edition* vsearch_reencode_report_edition(const vsearch_reencode_report* report) {
  return report != nullptr ? &report->edition : nullptr;
}

int32_t vsearch_reencode_report_switched(const vsearch_reencode_report* report) {
  return report != nullptr && report->report.switched ? 1 : 0;
}

const char* vsearch_reencode_report_refusal(const vsearch_reencode_report* report) {
  return report != nullptr ? report->report.refusal.c_str() : "";
}

uint64_t vsearch_reencode_report_encoded(const vsearch_reencode_report* report) {
  return report != nullptr ? report->report.encoded : 0;
}

uint64_t vsearch_reencode_report_reused(const vsearch_reencode_report* report) {
  return report != nullptr ? report->report.reused : 0;
}

size_t vsearch_reencode_report_missing_count(const vsearch_reencode_report* report) {
  return report != nullptr ? report->missing.size() : 0;
}

const vsearch_missing_picture* vsearch_reencode_report_missing(
    const vsearch_reencode_report* report, size_t i) {
  return i < vsearch_reencode_report_missing_count(report) ? &report->missing[i] : nullptr;
}

const vsearch_edition_comparison* vsearch_reencode_report_comparison(
    const vsearch_reencode_report* report) {
  return report != nullptr ? &report->comparison : nullptr;
}

void vsearch_reencode_report_free(vsearch_reencode_report* report) {
  delete report;
}

vsearch_status vsearch_catalog_drop_edition(vsearch_catalog* catalog, int64_t id,
                                            vsearch_error* error) {
  return capi::entry(error, [&] {
    capi::require(catalog, "catalog");
    catalog->catalog.drop_edition(id);
  });
}
