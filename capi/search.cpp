// The C interface to Searcher.
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "boundary.h"
#include "handles.h"
#include "vsearch/error.h"
#include "vsearch/filter.h"
#include "vsearch/image.h"
#include "vsearch/searcher.h"

namespace capi = vsearch::capi;

struct vsearch_hits {
  std::vector<vsearch::Hit> hits;
  std::vector<vsearch_hit> views;  // pointing into hits
};

namespace {

vsearch::QueryOptions to_options(const vsearch_search_options& given) {
  vsearch::QueryOptions options;
  options.k = given.k;
  if (given.breadth != 0) options.breadth = given.breadth;
  if (given.where != nullptr && given.where_json != nullptr) {
    throw vsearch::Error(vsearch::ErrorCode::kInvalidArgument,
                         "options sets both where and where_json; set one of them");
  }
  if (given.where != nullptr) options.where = vsearch::Filter::parse(given.where);
  if (given.where_json != nullptr) options.where = vsearch::Filter::from_json(given.where_json);
  options.exact = given.exact != 0;
  return options;
}

std::vector<vsearch::Hit> search(const vsearch::Catalog& catalog, const vsearch_query& query,
                                 const vsearch::QueryOptions& options) {
  const int set = (query.like != nullptr) + (query.image_path != nullptr) +
                  (query.image_bytes != nullptr) + (query.pixels.data != nullptr) +
                  (query.embedding != nullptr) + (query.text != nullptr);
  if (set != 1) {
    throw vsearch::Error(
        vsearch::ErrorCode::kInvalidArgument,
        "query must set exactly one of like, image_path, image_bytes, pixels.data, "
        "embedding and text; it sets " +
            std::to_string(set));
  }
  const vsearch::Searcher searcher(catalog);
  if (query.like != nullptr) return searcher.search(vsearch::Query::like(query.like), options);
  if (query.text != nullptr) return searcher.search(vsearch::Query::text(query.text), options);
  if (query.embedding != nullptr) {
    return searcher.search(vsearch::Query::vector({query.embedding, query.embedding_dim}), options);
  }
  if (query.pixels.data != nullptr) {
    const auto view = capi::to_view(query.pixels, "query.pixels");
    return searcher.search(vsearch::Query::image(view), options);
  }
  if (query.image_path != nullptr) {
    return searcher.search(vsearch::Query::file(query.image_path), options);
  }
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(query.image_bytes),
                                         query.image_bytes_length);
  return searcher.search(vsearch::Query::encoded(bytes, "query.image_bytes"), options);
}

}  // namespace

vsearch_status vsearch_catalog_search(const vsearch_catalog* catalog, const vsearch_query* query,
                                      const vsearch_search_options* options, vsearch_hits** out,
                                      vsearch_error* error) {
  return capi::make_handle(out, error, [&] {
    capi::require(catalog, "catalog");
    const auto wanted = capi::read_struct<vsearch_query>(
        query, offsetof(vsearch_query, like) + sizeof(query->like), "query");
    const auto how = capi::read_struct<vsearch_search_options>(
        options, offsetof(vsearch_search_options, k) + sizeof(options->k), "options");
    auto result = std::make_unique<vsearch_hits>();
    result->hits = search(catalog->catalog, wanted, to_options(how));
    result->views.reserve(result->hits.size());
    for (const vsearch::Hit& hit : result->hits) {
      result->views.push_back({hit.key.c_str(), hit.score, hit.distance, hit.path.c_str(),
                               hit.metadata.c_str(), hit.role.c_str()});
    }
    return result;
  });
}

size_t vsearch_hits_count(const vsearch_hits* hits) {
  return hits != nullptr ? hits->views.size() : 0;
}

const vsearch_hit* vsearch_hits_at(const vsearch_hits* hits, size_t i) {
  return i < vsearch_hits_count(hits) ? &hits->views[i] : nullptr;
}

void vsearch_hits_free(vsearch_hits* hits) {
  delete hits;
}
