// The C interface to what measures encoders and catalogues.
#include <memory>
#include <string>
#include <utility>

#include "boundary.h"
#include "handles.h"
#include "vsearch/audit.h"
#include "vsearch/dataset.h"
#include "vsearch/evaluator.h"
#include "vsearch/labelled_queries.h"
#include "vsearch/report.h"

namespace capi = vsearch::capi;

namespace {

vsearch::Dataset load(const char* kind, const char* root, std::int32_t incomplete) {
  capi::require(root, "root");
  vsearch::DatasetOptions options;
  options.check_files = incomplete == 0;
  options.check_counts = incomplete == 0;
  return vsearch::load_dataset(capi::text_or_empty(kind), root, options);
}

}  // namespace

const char* vsearch_text_data(const vsearch_text* text) {
  return text != nullptr ? text->text.c_str() : nullptr;
}

size_t vsearch_text_size(const vsearch_text* text) {
  return text != nullptr ? text->text.size() : 0;
}

void vsearch_text_free(vsearch_text* text) {
  delete text;
}

vsearch_status vsearch_evaluate(const vsearch_encoder* encoder, const char* dataset,
                                const char* root, const vsearch_evaluate_options* options,
                                vsearch_text** json, vsearch_error* error) {
  return capi::make_handle(json, error, [&] {
    capi::require(encoder, "encoder");
    const auto given = capi::read_options(options, "options");
    vsearch::EvaluationOptions how;
    how.protocols =
        capi::to_texts<std::string>(given.protocols, given.protocol_count, "options.protocols");
    if (given.rerank != nullptr) how.rerank = vsearch::parse_rerank(given.rerank);
    how.cache = capi::text_or_empty(given.cache);
    how.bootstrap = capi::or_default(given.bootstrap, how.bootstrap);
    how.seed = capi::or_default(given.seed, how.seed);
    how.progress = capi::to_progress(given.progress, given.progress_user);
    if (given.html != nullptr) how.retrieval.keep_answers = vsearch::kReportAnswers;
    const vsearch::Dataset pictures = load(dataset, root, given.incomplete);
    const vsearch::Evaluation done = vsearch::evaluate(*encoder->encoder, pictures, how);
    vsearch::ReportInput input;
    input.evaluations = {&done, 1};
    input.dataset = &pictures;
    if (given.html != nullptr) vsearch::write_report(given.html, input);
    return std::make_unique<vsearch_text>(vsearch::to_json(done, given.every_query != 0));
  });
}

vsearch_status vsearch_catalog_evaluate(const vsearch_catalog* catalog, const char* queries,
                                        const vsearch_evaluate_options* options,
                                        vsearch_text** json, vsearch_error* error) {
  return capi::make_handle(json, error, [&] {
    capi::require(catalog, "catalog");
    capi::require(queries, "queries");
    const auto given = capi::read_options(options, "options");
    vsearch::CatalogEvaluationOptions how;
    how.bootstrap = capi::or_default(given.bootstrap, how.bootstrap);
    how.seed = capi::or_default(given.seed, how.seed);
    how.progress = capi::to_progress(given.progress, given.progress_user);
    const vsearch::CatalogEvaluation done =
        vsearch::evaluate(catalog->catalog, vsearch::read_labelled_queries(queries), how);
    vsearch::ReportInput input;
    input.catalog = &done;
    if (given.html != nullptr) vsearch::write_report(given.html, input);
    return std::make_unique<vsearch_text>(vsearch::to_json(done));
  });
}

vsearch_status vsearch_audit(const vsearch_encoder* encoder, const char* dataset, const char* root,
                             const vsearch_audit_options* options, vsearch_text** json,
                             vsearch_error* error) {
  return capi::make_handle(json, error, [&] {
    capi::require(encoder, "encoder");
    const auto given = capi::read_options(options, "options");
    vsearch::AuditOptions how;
    how.only = capi::to_texts<std::string>(given.only, given.only_count, "options.only");
    how.colour_field = capi::text_or_empty(given.colour_field);
    how.cache = capi::text_or_empty(given.cache);
    how.sample = capi::or_default(given.sample, how.sample);
    how.gallery = capi::or_default(given.gallery, how.gallery);
    how.seed = capi::or_default(given.seed, how.seed);
    how.progress = capi::to_progress(given.progress, given.progress_user);
    const vsearch::Dataset pictures = load(dataset, root, given.incomplete);
    const vsearch::Audit done = vsearch::audit(*encoder->encoder, pictures, how);
    vsearch::ReportInput input;
    input.audit = &done;
    input.dataset = &pictures;
    if (given.html != nullptr) vsearch::write_report(given.html, input);
    return std::make_unique<vsearch_text>(vsearch::to_json(done));
  });
}
