// Items from a manifest.
#include <utility>

#include "catalog/source_list.h"
#include "catalog/source_rows.h"
#include "catalog/source_table.h"

namespace vsearch::detail {

SourceListing list(const ManifestSource& source, ReadCounter& counter) {
  const Table table = open_table(source.file, "manifest", source.key_column, RowNeeds::kPicture);
  RowItems items(table);
  read_rows(table, [&](TableRow&& row) {
    items.add(std::move(row));
    counter.count();
  });
  SourceListing listing;
  listing.items = items.take();
  return listing;
}

}  // namespace vsearch::detail
