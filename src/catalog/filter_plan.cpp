#include "catalog/filter_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "catalog/filter_sql.h"
#include "catalog/metadata_value.h"

namespace vsearch::detail {
namespace {

using Kind = FilterNode::Kind;

constexpr std::int64_t kItemsPerScan = 4096;    // so that others get at the store
constexpr std::size_t kPicturesPerRead = 4096;  // likewise
constexpr std::uint64_t kFew = 4096;            // are looked up rather than found by scans
// So many rows of the index are scanned to be spared a look at the metadata of one picture. Such a
// look takes about twice as long; but how many rows there are is not known before they are scanned.
constexpr std::uint64_t kRowsPerLookUp = 16;
constexpr std::uint64_t kAllRows = std::uint64_t{1} << 62;
constexpr std::uint64_t kFewRows = 256;  // are scanned without much thought

bool is_leaf(const FilterNode& node) {
  return node.kind != Kind::kAnd && node.kind != Kind::kOr && node.kind != Kind::kNot;
}

template <typename Value>
bool holds(const FilterValue& value) {
  return std::holds_alternative<Value>(value);
}

// Whether a field of this type can be compared with `value`.
bool fits(FieldType type, const FilterValue& value) {
  switch (type) {
    case FieldType::kNumber:
      return holds<std::int64_t>(value) || holds<double>(value);
    case FieldType::kBoolean:
      return holds<bool>(value);
    default:
      return holds<std::string>(value);
  }
}

// Adds `value` to the parameters; returns it as SQL.
std::string bound(FilterSql& sql, const FilterValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    sql.parameters.emplace_back(*text);
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    sql.parameters.emplace_back(*integer);
  } else if (const auto* boolean = std::get_if<bool>(&value)) {
    sql.parameters.emplace_back(std::int64_t{*boolean ? 1 : 0});
  } else {
    // Read by SQLite, as it has read the value in the table. +: without it the CAST would make
    // SQLite convert the values of all rows instead of seeking some.
    sql.parameters.emplace_back(to_text(std::get<double>(value)));
    return fmt::format("+CAST(?{} AS REAL)", sql.parameters.size());
  }
  return fmt::format("?{}", sql.parameters.size());
}

void bind_all(db::Query& query, const FilterSql& sql) {
  for (const auto& parameter : sql.parameters) {
    std::visit([&](const auto& value) { query.bind(value); }, parameter);
  }
}

// An expression over field_values: the rows in which the field is as `leaf` wants it; of != those
// in which it is not. None if no row can be.
std::optional<FilterSql> scan_of(const FilterNode& leaf, const db::DeclaredField& field) {
  const FieldType type = field.field.type;
  if ((leaf.kind == Kind::kHas) != (type == FieldType::kTags)) return std::nullopt;
  FilterSql scan{"field = ?1", {field.id}};
  const auto compare = [&](std::string_view op) {
    scan.where += fmt::format(" AND value {} {}", op, bound(scan, leaf.values[0]));
  };
  if (leaf.kind == Kind::kIn) {
    MetadataValue::Array wanted;
    for (const FilterValue& value : leaf.values) {
      if (!fits(type, value)) continue;
      if (const auto* boolean = std::get_if<bool>(&value)) {
        wanted.emplace_back().value = std::int64_t{*boolean ? 1 : 0};
      } else {
        std::visit([&](const auto& plain) { wanted.emplace_back().value = plain; }, value);
      }
    }
    if (wanted.empty()) return std::nullopt;
    scan.where += fmt::format(" AND value IN (SELECT value FROM json_each({}))",
                              bound(scan, to_text(MetadataValue{std::move(wanted)})));
    return scan;
  }
  if (!std::ranges::all_of(leaf.values, [&](const auto& value) { return fits(type, value); })) {
    return std::nullopt;
  }
  switch (leaf.kind) {
    case Kind::kLess:
      compare("<");
      break;
    case Kind::kLessEqual:
      compare("<=");
      break;
    case Kind::kGreater:
      compare(">");
      break;
    case Kind::kGreaterEqual:
      compare(">=");
      break;
    case Kind::kBetween: {
      const std::string least = bound(scan, leaf.values[0]);
      scan.where += fmt::format(" AND value BETWEEN {} AND {}", least, bound(scan, leaf.values[1]));
      break;
    }
    case Kind::kLike:
      compare("LIKE");
      break;
    default:  // =, != and HAS
      compare("=");
  }
  return scan;
}

// Calls `work` with a part of `pictures` after the other, each small enough for one look_up().
template <typename Work>
void for_each_part(std::span<const Id> pictures, Work work) {
  for (std::size_t first = 0; first < pictures.size(); first += kPicturesPerRead) {
    work(pictures.subspan(first, std::min(kPicturesPerRead, pictures.size() - first)));
  }
}

// The pictures of the items with ids in [first, last] that match.
IdFilter look_through(db::Database& database, const FilterSql& filter, std::int64_t first,
                      std::int64_t last) {
  // CROSS JOIN: the condition is looked at once an item, not once a picture.
  const std::size_t n = filter.parameters.size();
  db::Query query = database.query_once(fmt::format(
      "SELECT pictures.id FROM items CROSS JOIN pictures ON pictures.item_id = items.id "
      "WHERE items.id BETWEEN ?{} AND ?{} AND {}",
      n + 1, n + 2, filter.where));
  bind_all(query, filter);
  query.bind(first).bind(last);
  return db::read_ids(query);
}

// Of `pictures`, those whose items match.
IdFilter look_up(db::Database& database, const FilterSql& filter, std::span<const Id> pictures) {
  const std::string wanted = fmt::format("[{}]", fmt::join(pictures, ","));
  db::Query query =
      database.query_once(fmt::format("SELECT pictures.id FROM json_each(?{}) AS wanted "
                                      "CROSS JOIN pictures ON pictures.id = wanted.value "
                                      "CROSS JOIN items ON items.id = pictures.item_id WHERE {}",
                                      filter.parameters.size() + 1, filter.where));
  bind_all(query, filter);
  query.bind(std::string_view(wanted));
  return db::read_ids(query);
}

// Answers conditions on declared fields, all of them as of the moment in which it has the store.
class IndexedPart {
 public:
  IndexedPart(db::Database& database, db::FieldIndex& fields)
      : database_(database), fields_(fields), declared_(fields.current()) {}

  // Of all pictures, or of those `within`.
  IdFilter matching(const FilterNode& node, const IdFilter* within) {
    switch (node.kind) {
      case Kind::kAnd:
        return all_of(node.children, within);
      case Kind::kOr: {
        IdFilter result;
        for (const FilterNode& child : node.children) result |= matching(child, within);
        return result;
      }
      case Kind::kNot: {
        const IdFilter wrong = matching(node.children.front(), within);
        IdFilter result = all(within);
        result -= wrong;
        return result;
      }
      default:
        return leaf(node, within);
    }
  }

 private:
  const IdFilter& all(const IdFilter* within) {
    return within != nullptr ? *within : fields_.pictures();
  }

  IdFilter all_of(const std::vector<FilterNode>& children, const IdFilter* within) {
    std::optional<IdFilter> result;
    for (const FilterNode* const child : in_order(children)) {
      result = matching(*child, result ? &*result : within);
      if (result->size() == 0) break;
    }
    return result ? *std::move(result) : all(within);
  }

  // Those that find least first. Which these are is known from counting a few rows of each, then
  // more, until one has no more; or until all have so many that no order saves much.
  std::vector<const FilterNode*> in_order(const std::vector<FilterNode>& children) {
    constexpr std::uint64_t kFirst = 256;
    std::uint64_t last = 0;
    {
      db::Query query = database_.query("SELECT ifnull(max(id), 0) FROM pictures");
      query.step();
      last = static_cast<std::uint64_t>(query.integer(0)) / kRowsPerLookUp;
    }
    std::vector<std::pair<std::uint64_t, const FilterNode*>> sized;
    std::uint64_t limit = kFirst;
    do {
      sized.clear();
      for (const FilterNode& child : children) sized.emplace_back(size_up_to(child, limit), &child);
      std::ranges::stable_sort(sized, {}, [](const auto& entry) { return entry.first; });
      limit *= 4;
    } while (!sized.empty() && sized.front().first == limit / 4 && limit <= last);
    std::vector<const FilterNode*> result;
    for (const auto& entry : sized) result.push_back(entry.second);
    return result;
  }

  // How many pictures match, roughly; `limit` if more, or if it takes long to find out.
  std::uint64_t size_up_to(const FilterNode& node, std::uint64_t limit) {
    std::uint64_t size = 0;
    switch (node.kind) {
      case Kind::kAnd:
        size = limit;
        for (const FilterNode& child : node.children)
          size = std::min(size, size_up_to(child, size));
        return size;
      case Kind::kOr:
        for (const FilterNode& child : node.children) {
          size += size_up_to(child, limit - size);
          if (size == limit) break;
        }
        return size;
      case Kind::kNot:
      case Kind::kNotEqual:
      case Kind::kIsNull:
      case Kind::kLike:
        return limit;
      default: {
        const db::DeclaredField* const field = declared_->find(node.field);
        if (field == nullptr) return limit;
        const std::optional<FilterSql> scan = scan_of(node, *field);
        if (!scan) return 0;
        db::Query query = database_.query_once(
            fmt::format("SELECT count(*) FROM (SELECT 1 FROM field_values WHERE {} LIMIT ?{})",
                        scan->where, scan->parameters.size() + 1));
        bind_all(query, *scan);
        query.bind(static_cast<std::int64_t>(limit)).step();
        return static_cast<std::uint64_t>(query.integer(0));
      }
    }
  }

  IdFilter leaf(const FilterNode& leaf, const IdFilter* within) {
    const db::DeclaredField* const field = declared_->find(leaf.field);
    if (field == nullptr) return by_metadata(leaf, all(within));  // dropped a moment ago
    if (leaf.kind == Kind::kIsNull) {
      IdFilter result = all(within);
      result -= fields_.pictures_with(*field);
      return result;
    }
    const std::optional<FilterSql> scan = scan_of(leaf, *field);
    if (!scan) return {};
    std::optional<IdFilter> found;
    if (within == nullptr) {
      found = scanned(*scan, kAllRows);
    } else {
      const std::uint64_t limit = std::max(kFewRows, kRowsPerLookUp * within->size());
      // LIKE looks at all rows, however few it finds.
      if (leaf.kind != Kind::kLike || fields_.pictures_with(*field).size() <= limit) {
        found = scanned(*scan, limit);
      }
      if (!found) return by_metadata(leaf, *within);
    }
    if (leaf.kind == Kind::kNotEqual) {
      IdFilter different = fields_.pictures_with(*field);
      different -= *found;
      found = std::move(different);
    }
    if (within != nullptr) *found &= *within;
    return *std::move(found);
  }

  // None if there are more than `limit` rows.
  std::optional<IdFilter> scanned(const FilterSql& scan, std::uint64_t limit) {
    db::Query query =
        database_.query_once(fmt::format("SELECT picture FROM field_values WHERE {} LIMIT ?{}",
                                         scan.where, scan.parameters.size() + 1));
    bind_all(query, scan);
    query.bind(static_cast<std::int64_t>(limit) + 1);
    IdFilter found = db::read_ids(query);
    if (found.size() > limit) return std::nullopt;
    return found;
  }

  IdFilter by_metadata(const FilterNode& node, const IdFilter& pictures) {
    const FilterSql filter = filter_to_sql(node);
    IdFilter result;
    for_each_part(pictures.ids(),
                  [&](std::span<const Id> part) { result |= look_up(database_, filter, part); });
    return result;
  }

  db::Database& database_;
  db::FieldIndex& fields_;
  const std::shared_ptr<const db::DeclaredFields> declared_;
};

// Answers any conditions.
class Plan {
 public:
  Plan(db::FieldIndex& fields, const InStore& in_store)
      : fields_(fields), declared_(fields.declared()), in_store_(in_store) {}

  // Of all pictures, or of those `within`.
  IdFilter matching(const FilterNode& node, const IdFilter* within) {
    const Share share = declared_share(node);
    if (share == Share::kAll) return by_index(node, within);
    if (share == Share::kNone) return by_metadata(node, within);
    switch (node.kind) {
      case Kind::kAnd:
        return all_of(split(node), within);
      case Kind::kOr:
        return any_of(split(node), within);
      default: {  // kNot: a leaf has no share between all and none
        // All of them first: an item that comes meanwhile may then be missed, but not let in.
        IdFilter result = within != nullptr ? *within : by_index({}, nullptr);
        result -= matching(node.children.front(), within);
        return result;
      }
    }
  }

 private:
  // How much of a tree are conditions on declared fields.
  enum class Share { kNone, kSome, kAll };
  Share declared_share(const FilterNode& node) const {
    if (is_leaf(node)) return declared_->find(node.field) != nullptr ? Share::kAll : Share::kNone;
    std::optional<Share> share;
    for (const FilterNode& child : node.children) {
      const Share other = declared_share(child);
      share = !share || *share == other ? other : Share::kSome;
    }
    return share.value_or(Share::kNone);
  }

  // The children of an AND or OR by their share, all of a kind as one node.
  struct Parts {
    FilterNode all;
    FilterNode none;
    std::vector<FilterNode> some;
  };
  Parts split(const FilterNode& node) const {
    Parts parts{{node.kind, {}, {}, {}}, {node.kind, {}, {}, {}}, {}};
    for (const FilterNode& child : node.children) {
      const Share share = declared_share(child);
      (share == Share::kAll    ? parts.all.children
       : share == Share::kNone ? parts.none.children
                               : parts.some)
          .push_back(child);
    }
    return parts;
  }

  IdFilter all_of(Parts parts, const IdFilter* within) {
    std::optional<IdFilter> found;
    if (!parts.all.children.empty()) {
      found = by_index(parts.all, within);
      within = &*found;
    }
    for (FilterNode& child : parts.some) {
      if (within != nullptr && within->size() <= kFew) {
        parts.none.children.push_back(std::move(child));
      } else {
        found = matching(child, within);
        within = &*found;
      }
    }
    if (parts.none.children.empty()) return *std::move(found);
    return by_metadata(parts.none, within);
  }

  IdFilter any_of(const Parts& parts, const IdFilter* within) {
    IdFilter found;
    if (!parts.all.children.empty()) found = by_index(parts.all, within);
    for (const FilterNode& child : parts.some) found |= matching(child, within);
    if (parts.none.children.empty()) return found;
    if (within == nullptr) {
      found |= by_metadata(parts.none, nullptr);
    } else {
      IdFilter left = *within;
      left -= found;
      found |= by_metadata(parts.none, &left);
    }
    return found;
  }

  IdFilter by_index(const FilterNode& node, const IdFilter* within) {
    IdFilter result;
    in_store_([&](db::Database& database) {
      result = IndexedPart(database, fields_).matching(node, within);
    });
    return result;
  }

  IdFilter by_metadata(const FilterNode& node, const IdFilter* within) {
    const FilterSql filter = filter_to_sql(node);
    std::int64_t last = 0;
    in_store_([&](db::Database& database) {
      db::Query query = database.query("SELECT ifnull(max(id), 0) FROM items");
      query.step();
      last = query.integer(0);
    });
    IdFilter result;
    if (within != nullptr && within->size() < static_cast<std::uint64_t>(last) / 2) {
      for_each_part(within->ids(), [&](std::span<const Id> part) {
        in_store_([&](db::Database& database) { result |= look_up(database, filter, part); });
      });
      return result;
    }
    for (std::int64_t first = 1; first <= last; first += kItemsPerScan) {
      in_store_([&](db::Database& database) {
        result |= look_through(database, filter, first, first + kItemsPerScan - 1);
      });
    }
    if (within != nullptr) result &= *within;
    return result;
  }

  db::FieldIndex& fields_;
  const std::shared_ptr<const db::DeclaredFields> declared_;
  const InStore& in_store_;
};

}  // namespace

IdFilter matching_pictures(const FilterNode& root, db::FieldIndex& fields,
                           const InStore& in_store) {
  return Plan(fields, in_store).matching(root, nullptr);
}

}  // namespace vsearch::detail
