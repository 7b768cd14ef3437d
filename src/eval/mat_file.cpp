#include "eval/mat_file.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "eval/list_file.h"
#include "vsearch/error.h"

namespace vsearch::eval {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kHeaderBytes = 128;
constexpr std::size_t kMaxCellDepth = 32;
constexpr std::size_t kMaxInflatedBytes = std::size_t{256} << 20;
static_assert(std::endian::native == std::endian::little, "numbers are read as they lie");

// Types of data elements and classes of arrays, as MathWorks' "MAT-File Format" numbers them.
enum Type : std::uint32_t {
  kInt8 = 1,
  kUint8 = 2,
  kInt16 = 3,
  kUint16 = 4,
  kInt32 = 5,
  kUint32 = 6,
  kSingle = 7,
  kDouble = 9,
  kInt64 = 12,
  kUint64 = 13,
  kMatrix = 14,
  kCompressed = 15,
  kUtf8 = 16,
  kUtf16 = 17,
};
enum Class : std::uint32_t {
  kCell = 1,
  kStruct = 2,
  kChar = 4,
  kFirstNumeric = 6,
  kLastNumeric = 15
};

struct Element {
  std::uint32_t type = 0;
  std::string_view data;
};

class Parser {
 public:
  explicit Parser(std::string_view name) : name_(name) {}

  Json file(std::string_view bytes) {
    if (bytes.size() < kHeaderBytes || bytes.substr(126, 2) != "IM" || bytes[125] != 1) {
      fail("is no MATLAB file of version 5 in little-endian order; save it with -v7 or -v6");
    }
    bytes.remove_prefix(kHeaderBytes);
    Json variables = Json::object();
    while (!bytes.empty()) {
      Element element = take(bytes);
      std::string inflated;
      if (element.type == kCompressed) {
        inflated = inflate_all(element.data);
        std::string_view inside = inflated;
        element = take(inside);
      }
      if (element.type != kMatrix) continue;
      std::string variable;
      Json value = matrix(element.data, &variable, 0);
      variables[variable] = std::move(value);
    }
    return variables;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorCode::kCorrupt, fmt::format("'{}' {}", name_, what));
  }
  [[noreturn]] void damaged() const {
    fail("is a damaged MATLAB file; get it again from where it is published");
  }

  template <typename T>
  T number(std::string_view bytes, std::size_t at) const {
    T value = {};
    if (bytes.size() < sizeof(T) || at > bytes.size() - sizeof(T)) damaged();
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    return value;
  }

  // Takes the first element off `bytes`.
  Element take(std::string_view& bytes) const {
    const auto tag = number<std::uint32_t>(bytes, 0);
    if (tag >> 16 != 0) {  // a small one: its bytes lie in the tag
      const std::size_t size = tag >> 16;
      if (size > 4 || bytes.size() < 8) damaged();
      const Element element{tag & 0xFFFF, bytes.substr(4, size)};
      bytes.remove_prefix(8);
      return element;
    }
    const std::size_t size = number<std::uint32_t>(bytes, 4);
    if (size > bytes.size() - 8) damaged();
    const Element element{tag, bytes.substr(8, size)};
    const std::size_t padded = tag == kCompressed ? size : (size + 7) / 8 * 8;
    bytes.remove_prefix(std::min(8 + padded, bytes.size()));
    return element;
  }

  std::string inflate_all(std::string_view data) const {
    z_stream stream{};
    if (inflateInit(&stream) != Z_OK) throw std::bad_alloc();
    const struct End {
      z_stream* stream;
      ~End() { inflateEnd(stream); }
    } end{&stream};
    std::string result;
    std::vector<char> chunk(std::size_t{64} << 10);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    stream.avail_in = static_cast<uInt>(data.size());
    int status = Z_OK;
    while (status == Z_OK) {
      stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
      stream.avail_out = static_cast<uInt>(chunk.size());
      status = inflate(&stream, Z_NO_FLUSH);
      result.append(chunk.data(), chunk.size() - stream.avail_out);
      if (result.size() > kMaxInflatedBytes) damaged();
    }
    if (status != Z_STREAM_END) damaged();
    return result;
  }

  // An array; `name` gets what it is called.
  Json matrix(std::string_view bytes, std::string* name, std::size_t depth) const {
    if (bytes.empty()) return Json::array();
    if (depth > kMaxCellDepth) damaged();
    const Element flags = take(bytes);
    const std::uint32_t kind = number<std::uint32_t>(flags.data, 0) & 0xFF;
    const Element dimensions = take(bytes);
    std::uint64_t count = 1;
    for (std::size_t at = 0; at < dimensions.data.size(); at += 4) {
      count *= number<std::uint32_t>(dimensions.data, at);
      if (count > kMaxInflatedBytes) damaged();
    }
    const Element called = take(bytes);
    if (name != nullptr) *name = called.data;
    if (kind == kCell) return cells(bytes, count, depth);
    if (kind == kStruct) return structs(bytes, count, depth);
    if (kind == kChar) return count == 0 ? Json("") : Json(text(take(bytes)));
    if (kind < kFirstNumeric || kind > kLastNumeric) return nullptr;
    return count == 0 ? Json::array() : numbers(take(bytes));
  }

  Json cells(std::string_view bytes, std::uint64_t count, std::size_t depth) const {
    Json array = Json::array();
    for (std::uint64_t i = 0; i < count; ++i) array.push_back(inner(bytes, depth));
    return array;
  }

  Json structs(std::string_view bytes, std::uint64_t count, std::size_t depth) const {
    const std::size_t length = number<std::uint32_t>(take(bytes).data, 0);
    const std::string_view names = take(bytes).data;
    if (length == 0 || names.size() % length != 0) damaged();
    std::vector<std::string> fields;
    for (std::size_t at = 0; at < names.size(); at += length) {
      const std::string_view field = names.substr(at, length);
      fields.emplace_back(field.substr(0, field.find('\0')));
    }
    if (fields.empty()) return Json::array();
    Json array = Json::array();
    for (std::uint64_t i = 0; i < count; ++i) {
      Json object = Json::object();
      for (const std::string& field : fields) object[field] = inner(bytes, depth);
      array.push_back(std::move(object));
    }
    return array;
  }

  Json inner(std::string_view& bytes, std::size_t depth) const {
    const Element element = take(bytes);
    if (element.type != kMatrix) damaged();
    return matrix(element.data, nullptr, depth + 1);
  }

  template <typename T>
  Json numbers_as(std::string_view data) const {
    Json array = Json::array();
    for (std::size_t at = 0; at + sizeof(T) <= data.size(); at += sizeof(T)) {
      array.push_back(number<T>(data, at));
    }
    return array;
  }

  Json numbers(const Element& element) const {
    switch (element.type) {
      case kInt8:
        return numbers_as<std::int8_t>(element.data);
      case kUint8:
        return numbers_as<std::uint8_t>(element.data);
      case kInt16:
        return numbers_as<std::int16_t>(element.data);
      case kUint16:
        return numbers_as<std::uint16_t>(element.data);
      case kInt32:
        return numbers_as<std::int32_t>(element.data);
      case kUint32:
        return numbers_as<std::uint32_t>(element.data);
      case kSingle:
        return numbers_as<float>(element.data);
      case kDouble:
        return numbers_as<double>(element.data);
      case kInt64:
        return numbers_as<std::int64_t>(element.data);
      case kUint64:
        return numbers_as<std::uint64_t>(element.data);
      default:
        damaged();
    }
  }

  // As UTF-8. Characters beyond the first 65,536 do not occur in paths and names of data sets.
  std::string text(const Element& element) const {
    if (element.type != kUint16 && element.type != kUtf16) return std::string(element.data);
    std::string result;
    for (std::size_t at = 0; at + 2 <= element.data.size(); at += 2) {
      const auto c = number<std::uint16_t>(element.data, at);
      if (c < 0x80) {
        result += static_cast<char>(c);
      } else if (c < 0x800) {
        result += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
      } else {
        result += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
                   static_cast<char>(0x80 | (c & 0x3F))};
      }
    }
    return result;
  }

  std::string_view name_;
};

}  // namespace

Json parse_mat(std::string_view bytes, std::string_view name) {
  return Parser(name).file(bytes);
}

Json read_mat_file(const std::filesystem::path& path) {
  return parse_mat(read_list_text(path), path.string());
}

const Json* member(const Json& value, const char* name) {
  if (!value.is_object()) return nullptr;
  const auto found = value.find(name);
  return found == value.end() ? nullptr : &*found;
}

std::optional<double> first_number(const Json& value) {
  const Json& first = value.is_array() && !value.empty() ? value.front() : value;
  if (!first.is_number()) return std::nullopt;
  return first.get<double>();
}

}  // namespace vsearch::eval
