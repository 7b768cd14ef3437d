#include "eval/pickle.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "eval/list_file.h"
#include "util/utf8.h"
#include "vsearch/error.h"

namespace vsearch::eval {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxValues = 2'000'000;  // a list may stand in itself many times over
static_assert(std::endian::native == std::endian::little, "numbers are read as they lie");

struct Value;
using Ref = Value*;

// Values are shared: what is put into a list after it was remembered is in it wherever it stands.
struct Value {
  enum class Kind { kPlain, kList, kDict, kText, kBytes, kGlobal, kType, kArray, kMark };
  Kind kind = Kind::kPlain;
  Json plain{};              // a number, true, false, None
  std::string text{};        // of kText, kBytes, the name of kGlobal, the code of kType ("<i8")
  std::vector<Ref> items{};  // of kList (tuples too); of kDict keys and values in turn; of kArray
};

using Kind = Value::Kind;

class Machine {
 public:
  Machine(std::string_view bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  Json run() {
    while (true) {
      const char code = take(1).front();
      if (code == '.') break;
      step(code);
    }
    std::size_t values = 0;
    return to_json(pop(), 0, values);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("'{}', byte {}: {}; get the file again from where it is published, or "
                            "convert it to JSON in Python",
                            name_, at_, what));
  }

  std::string_view take(std::size_t count) {
    if (count > bytes_.size() - at_) fail("the pickle is cut");
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  std::string_view take_line() {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail("the pickle is cut");
    const std::string_view line = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return line;
  }
  template <typename T>
  T take_number() {
    T value = {};
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  template <typename T>
  std::string_view take_sized() {
    const std::uint64_t size = take_number<T>();
    if (size > bytes_.size()) fail("the pickle is cut");
    return take(static_cast<std::size_t>(size));
  }

  Ref make(Kind kind, std::string_view text = {}) {
    values_.push_back({kind, {}, std::string(text), {}});
    return &values_.back();
  }
  void push(Ref value) { stack_.push_back(value); }
  void push_plain(Json value) {
    push(make(Kind::kPlain));
    stack_.back()->plain = std::move(value);
  }
  Ref pop() {
    if (stack_.empty()) fail("the pickle is damaged");
    const Ref value = stack_.back();
    stack_.pop_back();
    return value;
  }
  Ref top() {
    if (stack_.empty()) fail("the pickle is damaged");
    return stack_.back();
  }
  // What was pushed since the last mark.
  std::vector<Ref> pop_to_mark() {
    std::size_t mark = stack_.size();
    while (mark > 0 && stack_[mark - 1]->kind != Kind::kMark) --mark;
    if (mark == 0) fail("the pickle is damaged");
    std::vector<Ref> items(stack_.begin() + static_cast<std::ptrdiff_t>(mark), stack_.end());
    stack_.resize(mark - 1);
    return items;
  }
  std::vector<Ref> pop_some(std::size_t count) {
    std::vector<Ref> items(count);
    while (count > 0) items[--count] = pop();
    return items;
  }
  void push_items(Kind kind, std::vector<Ref> items) {
    push(make(kind));
    stack_.back()->items = std::move(items);
  }
  void append(Kind kind, const std::vector<Ref>& items) {
    const Ref container = top();
    if (container->kind != kind) fail("the pickle is damaged");
    if (kind == Kind::kDict && items.size() % 2 != 0) fail("the pickle is damaged");
    container->items.insert(container->items.end(), items.begin(), items.end());
  }
  void remember(std::uint64_t place) { memory_[place] = top(); }
  void recall(std::uint64_t place) {
    const auto found = memory_.find(place);
    if (found == memory_.end()) fail("the pickle is damaged");
    push(found->second);
  }

  template <typename T, typename... Base>
  T parse(std::string_view text, Base... base) const {
    T value = {};
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, base...);
    if (error != std::errc() || end != text.data() + text.size()) fail("no number");
    return value;
  }

  // The opcodes, as pickletools names them.
  void step(char code) {
    switch (code) {
      case '\x80':  // PROTO
        take(1);
        break;
      case '\x95':  // FRAME
        take(8);
        break;
      case '(':  // MARK
        push(make(Kind::kMark));
        break;
      case '0':  // POP
        pop();
        break;
      case '2':  // DUP
        push(top());
        break;
      case 'p':  // PUT
        remember(parse<std::uint64_t>(take_line()));
        break;
      case 'q':  // BINPUT
        remember(take_number<std::uint8_t>());
        break;
      case 'r':  // LONG_BINPUT
        remember(take_number<std::uint32_t>());
        break;
      case '\x94':  // MEMOIZE
        remember(memory_.size());
        break;
      case 'g':  // GET
        recall(parse<std::uint64_t>(take_line()));
        break;
      case 'h':  // BINGET
        recall(take_number<std::uint8_t>());
        break;
      case 'j':  // LONG_BINGET
        recall(take_number<std::uint32_t>());
        break;
      case 'c': {  // GLOBAL
        const std::string module(take_line());
        push(make(Kind::kGlobal, fmt::format("{} {}", module, take_line())));
        break;
      }
      case '\x93': {  // STACK_GLOBAL
        const std::vector<Ref> names = pop_some(2);
        push(make(Kind::kGlobal, fmt::format("{} {}", names[0]->text, names[1]->text)));
        break;
      }
      case 'R': {  // REDUCE
        const Ref arguments = pop();
        push(known_result(*pop(), arguments->items));
        break;
      }
      case 'b': {  // BUILD
        const Ref state = pop();
        restore(*top(), state->items);
        break;
      }
      default:
        if (!step_constant(code) && !step_container(code)) {
          fail(fmt::format("an operation that lists of pictures do not need (0x{:02x})",
                           static_cast<unsigned char>(code)));
        }
    }
  }

  // A text of protocol 0: one of Latin-1 with \uXXXX (then as UTF-8), or bytes with the escapes of
  // Python's literals.
  std::string unescaped(std::string_view line, bool is_unicode) const {
    std::string text;
    const auto put = [&](unsigned c) {
      if (!is_unicode || c < 0x80) {
        text += static_cast<char>(c);
      } else if (c < 0x800) {
        text += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
      } else {
        text += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
                 static_cast<char>(0x80 | (c & 0x3F))};
      }
    };
    for (std::size_t i = 0; i < line.size(); ++i) {
      const char next = line[i] == '\\' && i + 1 < line.size() ? line[i + 1] : '\0';
      const std::size_t digits = is_unicode && next == 'u' ? 4 : !is_unicode && next == 'x' ? 2 : 0;
      if (digits > 0 && i + 2 + digits <= line.size()) {
        put(parse<unsigned>(line.substr(i + 2, digits), 16));
        i += 1 + digits;
      } else if (!is_unicode && next != '\0') {
        constexpr std::string_view kNames = "nrt";
        const std::size_t name = kNames.find(next);
        text += name == std::string_view::npos ? next : "\n\r\t"[name];
        ++i;
      } else {
        put(static_cast<unsigned char>(line[i]));
      }
    }
    return text;
  }

  bool step_constant(char code) {
    switch (code) {
      case 'N':  // NONE
        push_plain(nullptr);
        return true;
      case '\x88':  // NEWTRUE
      case '\x89':  // NEWFALSE
        push_plain(code == '\x88');
        return true;
      case 'K':  // BININT1
        push_plain(take_number<std::uint8_t>());
        return true;
      case 'M':  // BININT2
        push_plain(take_number<std::uint16_t>());
        return true;
      case 'J':  // BININT
        push_plain(take_number<std::int32_t>());
        return true;
      case 'I':    // INT
      case 'L': {  // LONG
        std::string_view text = take_line();
        if (code == 'I' && (text == "00" || text == "01")) {
          push_plain(text == "01");
        } else {
          if (text.ends_with('L')) text.remove_suffix(1);
          push_plain(parse<std::int64_t>(text));
        }
        return true;
      }
      case '\x8a': {  // LONG1: little-endian, two's complement
        const std::string_view digits = take_sized<std::uint8_t>();
        if (digits.size() > 8) fail("an integer of more than 64 bits");
        std::uint64_t value = 0;
        std::memcpy(&value, digits.data(), digits.size());
        const std::size_t unused = 64 - 8 * digits.size();
        push_plain(digits.empty()
                       ? std::int64_t{0}
                       : static_cast<std::int64_t>(value << unused) >> static_cast<int>(unused));
        return true;
      }
      case 'F':  // FLOAT
        push_plain(parse<double>(take_line()));
        return true;
      case 'G':  // BINFLOAT: big-endian
        push_plain(std::bit_cast<double>(__builtin_bswap64(take_number<std::uint64_t>())));
        return true;
      case 'V':  // UNICODE
        push(make(Kind::kText, unescaped(take_line(), true)));
        return true;
      case 'X':  // BINUNICODE
        push(make(Kind::kText, take_sized<std::uint32_t>()));
        return true;
      case '\x8c':  // SHORT_BINUNICODE
        push(make(Kind::kText, take_sized<std::uint8_t>()));
        return true;
      case '\x8d':  // BINUNICODE8
        push(make(Kind::kText, take_sized<std::uint64_t>()));
        return true;
      case 'S': {  // STRING: quoted
        const std::string_view line = take_line();
        if (line.size() < 2) fail("the pickle is damaged");
        push(make(Kind::kText, unescaped(line.substr(1, line.size() - 2), false)));
        return true;
      }
      case 'U':  // SHORT_BINSTRING: Python 2's text
        push(make(Kind::kText, take_sized<std::uint8_t>()));
        return true;
      case 'T':  // BINSTRING
        push(make(Kind::kText, take_sized<std::uint32_t>()));
        return true;
      case 'C':  // SHORT_BINBYTES
        push(make(Kind::kBytes, take_sized<std::uint8_t>()));
        return true;
      case 'B':  // BINBYTES
        push(make(Kind::kBytes, take_sized<std::uint32_t>()));
        return true;
      case '\x8e':  // BINBYTES8
      case '\x96':  // BYTEARRAY8
        push(make(Kind::kBytes, take_sized<std::uint64_t>()));
        return true;
      default:
        return false;
    }
  }

  bool step_container(char code) {
    switch (code) {
      case ']':  // EMPTY_LIST
      case ')':  // EMPTY_TUPLE
        push(make(Kind::kList));
        return true;
      case '}':  // EMPTY_DICT
        push(make(Kind::kDict));
        return true;
      case 'l':  // LIST
      case 't':  // TUPLE
        push_items(Kind::kList, pop_to_mark());
        return true;
      case 'd':  // DICT
        push_items(Kind::kDict, pop_to_mark());
        if (top()->items.size() % 2 != 0) fail("the pickle is damaged");
        return true;
      case '\x85':  // TUPLE1
      case '\x86':  // TUPLE2
      case '\x87':  // TUPLE3
        push_items(Kind::kList, pop_some(static_cast<std::size_t>(code - '\x84')));
        return true;
      case 'a':  // APPEND
        append(Kind::kList, pop_some(1));
        return true;
      case 'e':  // APPENDS
        append(Kind::kList, pop_to_mark());
        return true;
      case 's':  // SETITEM
        append(Kind::kDict, pop_some(2));
        return true;
      case 'u':  // SETITEMS
        append(Kind::kDict, pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  // The few functions that make NumPy's arrays: what they would return, without calling anything.
  Ref known_result(const Value& function, const std::vector<Ref>& arguments) {
    if (function.kind != Kind::kGlobal) fail("the pickle is damaged");
    std::string name = function.text;
    if (name.starts_with("numpy.core.")) {  // numpy._core to NumPy 2
      name = fmt::format("numpy._{}", name.substr(6));
    }
    if (name == "numpy._core.multiarray _reconstruct") return make(Kind::kArray);
    if (name == "numpy dtype" && !arguments.empty()) return make(Kind::kType, arguments[0]->text);
    if (name == "__builtin__ bytes" && arguments.empty()) return make(Kind::kBytes);
    if (name == "_codecs encode" && !arguments.empty()) {
      return make(Kind::kBytes, latin1(arguments[0]->text));
    }
    if (name == "numpy._core.numeric _frombuffer" && arguments.size() == 4) {
      const Ref array = make(Kind::kArray);
      array->items = numbers_in(arguments[1]->text, arguments[0]->text);
      return array;
    }
    if (name == "numpy._core.multiarray scalar" && arguments.size() == 2) {
      std::vector<Ref> numbers = numbers_in(arguments[0]->text, arguments[1]->text);
      if (numbers.size() == 1) return numbers.front();
    }
    fail(fmt::format("it calls '{}', which lists of pictures do not need", util::shorten(name)));
  }

  // UTF-8 of characters below 256 to a byte each.
  std::string latin1(std::string_view text) const {
    std::string bytes;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto c = static_cast<unsigned char>(text[i]);
      if (c < 0x80) {
        bytes += text[i];
      } else if ((c == 0xC2 || c == 0xC3) && i + 1 < text.size()) {
        bytes += static_cast<char>((c & 3U) << 6 | (static_cast<unsigned char>(text[++i]) & 0x3FU));
      } else {
        fail("the pickle is damaged");
      }
    }
    return bytes;
  }

  // What a dtype and an array are made of.
  void restore(Value& value, const std::vector<Ref>& state) {
    if (value.kind == Kind::kType && state.size() >= 2) {
      if (state[1]->text == ">") fail("an array of big-endian numbers");
      return;
    }
    if (value.kind == Kind::kArray && state.size() == 5) {
      value.items = numbers_in(state[2]->text, state[4]->text);
      return;
    }
    fail("an object of a kind that lists of pictures do not need");
  }

  std::vector<Ref> numbers_in(std::string_view type, std::string_view bytes) {
    if (type == "i1") return numbers_as<std::int8_t>(bytes);
    if (type == "u1" || type == "b1") return numbers_as<std::uint8_t>(bytes);
    if (type == "i2") return numbers_as<std::int16_t>(bytes);
    if (type == "u2") return numbers_as<std::uint16_t>(bytes);
    if (type == "i4") return numbers_as<std::int32_t>(bytes);
    if (type == "u4") return numbers_as<std::uint32_t>(bytes);
    if (type == "i8") return numbers_as<std::int64_t>(bytes);
    if (type == "u8") return numbers_as<std::uint64_t>(bytes);
    if (type == "f4") return numbers_as<float>(bytes);
    if (type == "f8") return numbers_as<double>(bytes);
    fail(fmt::format("an array of '{}'", util::shorten(type)));
  }
  template <typename T>
  std::vector<Ref> numbers_as(std::string_view bytes) {
    std::vector<Ref> numbers;
    for (std::size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
      T number = {};
      std::memcpy(&number, bytes.data() + at, sizeof(T));
      numbers.push_back(make(Kind::kPlain));
      numbers.back()->plain = number;
    }
    return numbers;
  }

  Json to_json(Ref value, std::size_t depth, std::size_t& values) const {
    if (depth > kMaxDepth || ++values > kMaxValues)
      fail("it is nested too deep, or stands in itself");
    switch (value->kind) {
      case Kind::kPlain:
        return value->plain;
      case Kind::kText:
        if (!util::is_utf8(value->text)) fail("a text that is no UTF-8");
        return value->text;
      case Kind::kList:
      case Kind::kArray: {
        Json array = Json::array();
        for (const Ref item : value->items) array.push_back(to_json(item, depth + 1, values));
        return array;
      }
      case Kind::kDict: {
        Json object = Json::object();
        for (std::size_t i = 0; i < value->items.size(); i += 2) {
          const Ref key = value->items[i];
          if (key->kind != Kind::kText || !util::is_utf8(key->text)) fail("a key that is no text");
          object[key->text] = to_json(value->items[i + 1], depth + 1, values);
        }
        return object;
      }
      default:
        fail("an object of a kind that lists of pictures do not need");
    }
  }

  std::string_view bytes_;
  std::string_view name_;
  std::size_t at_ = 0;
  std::deque<Value> values_;  // all there were
  std::vector<Ref> stack_;
  std::map<std::uint64_t, Ref> memory_;
};

}  // namespace

Json parse_pickle(std::string_view bytes, std::string_view name) {
  return Machine(bytes, name).run();
}

Json read_pickle(const std::filesystem::path& path) {
  return parse_pickle(read_list_text(path), path.string());
}

}  // namespace vsearch::eval
