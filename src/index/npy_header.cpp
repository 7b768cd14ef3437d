// NumPy's header: the text of a Python dictionary
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
#include <fmt/format.h>

#include <charconv>
#include <vector>

#include "index/vector_rows.h"

namespace vsearch::index {
namespace {

using Path = std::filesystem::path;

// Reads such a text from left to right. Of what Python has it knows what NumPy writes.
class Dictionary {
 public:
  Dictionary(std::string_view text, const Path& path) : rest_(text), path_(path) {}

  NpyHeader parse() {
    expect('{');
    while (!take('}')) {
      const std::string name = quoted();
      expect(':');
      if (name == "descr") {
        descr();
      } else if (name == "fortran_order") {
        fortran_ = boolean();
      } else if (name == "shape") {
        shape_ = numbers();
      } else {
        damaged();
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_spaces();
    if (!rest_.empty() || !element_ || !fortran_ || !shape_) damaged();
    return header();
  }

 private:
  [[noreturn]] void damaged() const { refuse_file(path_, "its header is damaged"); }

  void skip_spaces() {
    const std::size_t at = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at);
  }
  bool take(char wanted) {
    skip_spaces();
    if (!rest_.starts_with(wanted)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char wanted) {
    if (!take(wanted)) damaged();
  }
  std::string quoted() {
    skip_spaces();
    if (rest_.empty() || (rest_.front() != '\'' && rest_.front() != '"')) damaged();
    const std::size_t end = rest_.find(rest_.front(), 1);
    if (end == std::string_view::npos) damaged();
    std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  bool boolean() {
    skip_spaces();
    for (const std::string_view word : {"True", "False"}) {
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      return word == "True";
    }
    damaged();
  }
  std::vector<std::uint64_t> numbers() {
    std::vector<std::uint64_t> result;
    expect('(');
    while (!take(')')) {
      skip_spaces();
      std::uint64_t number = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
      if (error != std::errc()) damaged();
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      result.push_back(number);
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return result;
  }

  void descr() {
    skip_spaces();
    if (rest_.starts_with('[')) {
      refuse_file(path_, "it holds records of several fields: save one array of float32");
    }
    const std::string type = quoted();
    if (type.starts_with('>')) {
      refuse_file(path_, fmt::format("its numbers ('{}') are big-endian: save little-endian ones, "
                                     "array.astype('<f4')",
                                     type));
    }
    struct Known {
      std::string_view type;
      Element element;
    };
    for (const Known& known : {Known{"<f4", Element::kFloat32},
                               {"<f2", Element::kFloat16},
                               {"|i1", Element::kInt8},
                               {"|u1", Element::kUint8},
                               {"<i4", Element::kInt32},
                               {"<u4", Element::kUint32},
                               {"<i8", Element::kInt64},
                               {"<u8", Element::kUint64}}) {
      if (known.type == type) element_ = known.element;
    }
    if (!element_) {
      refuse_file(path_,
                  fmt::format("its numbers are of type '{}': save array.astype('float32')", type));
    }
  }

  NpyHeader header() const {
    const std::vector<std::uint64_t>& shape = *shape_;
    if (shape.size() == 1 && is_id(*element_)) return {*element_, shape[0], 1};
    if (shape.size() != 2) {
      refuse_file(path_, fmt::format("its array has {} dimension{}: save one of 2, [rows, dim]",
                                     shape.size(), shape.size() == 1 ? "" : "s"));
    }
    if (*fortran_) {
      refuse_file(path_, "its array is in Fortran order: save numpy.ascontiguousarray(array)");
    }
    return {*element_, shape[0], shape[1]};
  }

  std::string_view rest_;
  const Path& path_;
  std::optional<Element> element_;
  std::optional<bool> fortran_;
  std::optional<std::vector<std::uint64_t>> shape_;
};

}  // namespace

NpyHeader parse_npy(std::string_view dictionary, const Path& path) {
  return Dictionary(dictionary, path).parse();
}

}  // namespace vsearch::index
