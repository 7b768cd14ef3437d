#include <span>

#include "bench.h"
#include "catalog/store.h"

namespace vsearch_bench {

using vsearch::Id;
namespace db = vsearch::db;

void measure_store(const std::filesystem::path& folder, std::uint64_t items) {
  const Embeddings embeddings;
  for (const bool with_fields : {false, true}) {
    const auto file = folder / (with_fields ? "fields.db" : "plain.db");
    db::Store::create(file, std::string(32, '0'),
                      {1, vsearch::EditionState::kServing, "fake", "fake", std::string(64, 'f'),
                       kDim, vsearch::Metric::kCosine, 16, 200});
    db::Store store(file);
    if (with_fields) {
      db::Transaction transaction(store.database());
      store.fields().declare({"price", vsearch::FieldType::kNumber});
      store.fields().declare({"colour", vsearch::FieldType::kText});
      store.fields().declare({"tags", vsearch::FieldType::kTags});
      transaction.commit();
      store.fields().load();
    }
    double spent = 0;
    for (std::uint64_t first = 0; first < items; first += kBatch) {
      std::vector<std::vector<float>> vectors;
      std::vector<std::string> metadata;
      for (std::uint64_t i = first; i < first + kBatch; ++i) {
        vectors.push_back(embeddings.of(i));
        metadata.push_back(metadata_of(i));
      }
      spent += seconds([&] {
        db::Transaction transaction(store.database());
        for (std::size_t i = 0; i < kBatch; ++i) {
          const Id id = first + i + 1;
          const std::int64_t item = store.insert_item(fmt::format("sku-{:08}", id), metadata[i]);
          db::NewPicture picture;
          picture.picture.id = id;
          picture.picture.path = fmt::format("/shop/pictures/{:08}.jpg", id);
          picture.picture.content_hash = fmt::format("{:064x}", id * 0x9E3779B97F4A7C15ULL);
          picture.picture.stamp = {20'000, static_cast<std::int64_t>(id)};
          store.insert_picture(item, 0, picture);
          store.insert_embedding(1, id, vectors[i]);
          store.fields().insert({&id, 1}, metadata[i]);
        }
        store.next_generation();
        transaction.commit();
      });
    }
    tell({{"what", "store"},
          {"items", items},
          {"fields", with_fields ? 3 : 0},
          {"items_a_second", static_cast<double>(items) / spent}});
  }
}

}  // namespace vsearch_bench
