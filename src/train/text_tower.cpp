#include "train/text_tower.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <utility>

#include "vsearch/error.h"

namespace vsearch::training {
namespace {

// A str of TorchScript is bytes in UTF-8.
constexpr char kReaderScript[] = R"(
def fold(self, point: int) -> int:
    # What does not tell words apart: case and accents. 32 is what stands between words, 0 what is
    # passed over.
    if point >= 0xFF10 and point <= 0xFF5A:  # full width
        point = point - 0xFF00 + 32
    if point < 0x80:
        if point >= 65 and point <= 90:
            return point + 32
        if (point >= 97 and point <= 122) or (point >= 48 and point <= 57):
            return point
        return 0 if point == 39 else 32
    if point < 0x100:
        if point < 0xC0 or point == 0xD7 or point == 0xF7:
            return 32
        return ord("aaaaaaaceeeeiiiidnooooo ouuuuytsaaaaaaaceeeeiiiidnooooo ouuuuyty"[point - 0xC0])
    if point < 0x180:
        return ord(("aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnn"
                    "oooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs")[point - 0x100])
    if point >= 0x300 and point < 0x370:
        return 0
    if point >= 0x386 and point <= 0x3FF:
        if point == 0x386:
            return 0x3B1
        if point >= 0x388 and point <= 0x38A:
            return [0x3B5, 0x3B7, 0x3B9][point - 0x388]
        if point == 0x38C:
            return 0x3BF
        if point == 0x38E or point == 0x38F:
            return 0x3C5 if point == 0x38E else 0x3C9
        if point >= 0x391 and point <= 0x3AB:
            return point + 32
        if point >= 0x3AC and point <= 0x3AF:
            return [0x3B1, 0x3B5, 0x3B7, 0x3B9][point - 0x3AC]
        if point == 0x3C2:
            return 0x3C3
        if point >= 0x3CC and point <= 0x3CE:
            return [0x3BF, 0x3C5, 0x3C9][point - 0x3CC]
        return point
    if point >= 0x400 and point < 0x410:
        return 0x435 if point == 0x401 else point + 80
    if point >= 0x410 and point < 0x430:
        return point + 32
    if point == 0x451:
        return 0x435
    if point == 0x2019:
        return 0
    if (point >= 0x2000 and point < 0x2E80) or (point >= 0x3000 and point < 0x3040):
        return 32
    if point >= 0xFE00 and point < 0xFF66:
        return 32
    return point

def points(self, text: str) -> List[int]:
    data = [ord(byte) for byte in list(text)]
    points: List[int] = []
    i = 0
    while i < len(data):
        point = data[i]
        more = 0
        if point >= 0xF0:
            more, point = 3, point & 7
        elif point >= 0xE0:
            more, point = 2, point & 15
        elif point >= 0xC0:
            more, point = 1, point & 31
        i += 1
        for k in range(more):
            if i < len(data) and data[i] & 0xC0 == 0x80:
                point = (point << 6) | (data[i] & 63)
                i += 1
        folded = self.fold(point)
        if folded != 0:
            points.append(folded)
    points.append(32)
    return points

def read(self, text: str) -> Tuple[List[int], List[int]]:
    hashes: List[int] = []
    words: List[int] = []
    # Not [60]: torch makes a constant of that, to which every call would append.
    word: List[int] = []
    count = 0
    for point in self.points(text):
        if point != 32:
            if len(word) == 0:
                word.append(60)
            if len(word) <= 40:
                word.append(point)
            continue
        if len(word) == 0:
            continue
        if count == 64:
            break
        word.append(62)
        whole = 1
        for letter in word:
            whole = (whole * 1000003 + letter) % 2199023255579
        hashes.append(whole)
        words.append(count)
        for begin in range(len(word)):
            # A sign of Chinese or Japanese says as much as a syllable.
            shortest = 1 if word[begin] >= 0x2E80 else 3
            piece = 2
            for length in range(1, min(5, len(word) - begin) + 1):
                piece = (piece * 1000003 + word[begin + length - 1]) % 2199023255579
                if length >= shortest and length < len(word):
                    hashes.append(piece)
                    words.append(count)
        count += 1
        word.clear()
    return hashes, words
)";

// What stands behind a text of either kind, float [texts, width].
constexpr char kThroughScript[] = R"(
def through(self, x: Tensor) -> Tensor:
    x = torch.layer_norm(x, [x.size(1)], self.norm_weight, self.norm_bias)
    hidden = torch.gelu(torch.linear(x, self.hidden_weight, self.hidden_bias))
    x = x + torch.linear(hidden, self.back_weight, self.back_bias)
    return torch.linear(x, self.out_weight, self.out_bias)
)";

constexpr char kSentenceScript[] = R"(
def encode_text(self, texts: List[str]) -> Tensor:
    return self.through(self.sentence.encode_text(texts))
)";

constexpr char kTowerScript[] = R"(
def lookup(self, hashes: Tensor) -> Tensor:
    pieces = self.pieces_high.to(hashes) * 2097152 + self.pieces_low.to(hashes)
    places = torch.searchsorted(pieces, hashes).clamp(max=pieces.size(0) - 1)
    return torch.where(pieces[places] == hashes, places + 1, torch.zeros_like(places))

def embed(self, rows: Tensor, offsets: Tensor) -> Tensor:
    count = offsets.size(0)
    weights = torch.softplus(self.importance[rows])
    sums = torch.embedding_bag(self.vectors, rows, offsets, False, 0, False, weights)[0]
    ends = torch.cat([offsets[1:], torch.tensor([rows.size(0)]).to(offsets)])
    bags = torch.repeat_interleave(torch.arange(count).to(offsets), ends - offsets)
    totals = torch.zeros([count]).to(weights).index_add(0, bags, weights)
    return self.through(sums / totals.clamp(min=1e-6).unsqueeze(1))

def encode_text(self, texts: List[str]) -> Tensor:
    rows: List[Tensor] = []
    offsets: List[int] = []
    count = 0
    for text in texts:
        read = self.read(text)[0]
        read.append(0)  # of no piece: torch warns of empty lists
        found = self.lookup(torch.tensor(read).to(self.importance.device))
        found = found[found > 0]
        if found.size(0) == 0:
            found = torch.tensor([0]).to(found)
        rows.append(found)
        offsets.append(count)
        count += found.size(0)
    return self.embed(torch.cat(rows), torch.tensor(offsets).to(rows[0]))
)";

constexpr char kEncodeText[] = R"(
def encode_text(self, texts: List[str]) -> Tensor:
    return self.text.encode_text(texts)
)";

// Of towers of ours, with the version of the scripts, of each kind.
constexpr char kMark[] = "vsearch_text_tower";
constexpr char kSentenceMark[] = "vsearch_sentence_tower";
constexpr std::int64_t kVersion = 1;
constexpr std::int64_t kHalfHash = 2'097'152;  // hashes are below its square

// The parameters of kThroughScript.
void add_through(torch::jit::Module& tower, std::int64_t width, std::int64_t dim,
                 at::Generator& random) {
  const auto normal = [&](at::IntArrayRef shape, double deviation) {
    return at::randn(shape, random, at::TensorOptions(at::kFloat)) * deviation;
  };
  const auto add = [&](const char* name, at::Tensor value) {
    tower.register_parameter(name, std::move(value), false);
  };
  const double inner = 1 / std::sqrt(static_cast<double>(width));
  add("norm_weight", at::ones({width}));
  add("norm_bias", at::zeros({width}));
  add("hidden_weight", normal({4 * width, width}, inner));
  add("hidden_bias", at::zeros({4 * width}));
  add("back_weight", normal({width, 4 * width}, inner / 4));
  add("back_bias", at::zeros({width}));
  add("out_weight", normal({dim, width}, inner));
  add("out_bias", at::zeros({dim}));
  tower.define(kThroughScript);
}

bool have_same_weights(const torch::jit::Module& a, const torch::jit::Module& b) {
  const auto of_a = a.named_parameters();
  const auto of_b = b.named_parameters();
  if (of_a.size() != of_b.size()) return false;
  auto other = of_b.begin();
  for (const auto& one : of_a) {
    const auto same = *other;
    ++other;
    if (one.name != same.name || one.value.scalar_type() != same.value.scalar_type() ||
        !at::equal(one.value, same.value)) {
      return false;
    }
  }
  return true;
}

bool has_mark(const torch::jit::Module& network, const char* mark) {
  if (!network.hasattr("text") || !network.attr("text").isModule()) return false;
  const torch::jit::Module text = network.attr("text").toModule();
  return text.hasattr(mark) && text.attr(mark).isInt() && text.attr(mark).toInt() == kVersion;
}

}  // namespace

TextReader::TextReader() : module_("TextReader") {
  module_.define(kReaderScript);
}

TextPieces TextReader::read(const std::string& text) const {
  const c10::IValue found = module_.get_method("read")({text});
  TextPieces pieces;
  pieces.hashes = found.toTupleRef().elements()[0].toIntVector();
  for (const std::int64_t word : found.toTupleRef().elements()[1].toIntVector()) {
    pieces.words.push_back(static_cast<std::int32_t>(word));
  }
  return pieces;
}

torch::jit::Module make_text_tower(const TextTowerSettings& settings) {
  torch::jit::Module tower("TextTower");
  at::Generator random = at::make_generator<at::CPUGeneratorImpl>(settings.seed);
  const auto count = static_cast<std::int64_t>(settings.pieces.size());
  tower.register_attribute(kMark, c10::IntType::get(), kVersion);
  // Whoever loads a package makes all of its tensors float32: two of which hold a hash exactly.
  const at::Tensor pieces = at::tensor(settings.pieces, at::kLong);
  const at::Tensor high = at::floor_divide(pieces, kHalfHash);
  tower.register_buffer("pieces_high", high.to(at::kFloat));
  tower.register_buffer("pieces_low", (pieces - high * kHalfHash).to(at::kFloat));
  tower.register_parameter(
      "vectors", at::randn({count + 1, settings.width}, random, at::TensorOptions(at::kFloat)),
      false);
  tower.register_parameter("importance", at::zeros({count + 1}), false);
  add_through(tower, settings.width, settings.dim, random);
  tower.define(kReaderScript);
  tower.define(kTowerScript);
  tower.eval();
  return tower;
}

torch::jit::Module make_sentence_tower(const torch::jit::Module& sentence, std::int64_t width,
                                       std::int64_t dim, std::uint64_t seed) {
  torch::jit::Module tower("SentenceTower");
  at::Generator random = at::make_generator<at::CPUGeneratorImpl>(seed);
  tower.register_attribute(kSentenceMark, c10::IntType::get(), kVersion);
  tower.register_module("sentence", sentence);
  add_through(tower, width, dim, random);
  tower.define(kSentenceScript);
  tower.eval();
  return tower;
}

std::optional<torch::jit::Module> sentence_encoder_of(const torch::jit::Module& network) {
  if (!has_mark(network, kSentenceMark)) return std::nullopt;
  return network.attr("text").toModule().attr("sentence").toModule();
}

void check_takes_tower(const torch::jit::Module& network, const torch::jit::Module* sentence,
                       const std::string& path) {
  if (has_own_text_tower(network)) {
    const std::optional<torch::jit::Module> old = sentence_encoder_of(network);
    if (old.has_value() == (sentence != nullptr) && (!old || have_same_weights(*old, *sentence))) {
      return;
    }
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: the model has learned words {} before, and what is learned now "
                    "cannot take their place; begin with the model as it was without words, "
                    "to which vsx rollback or vsx reencode brings the catalogue back",
                    path,
                    !old                  ? "without a sentence encoder"
                    : sentence == nullptr ? "behind a sentence encoder"
                                          : "behind another sentence encoder"));
  }
  torch::jit::Module within = network;
  while (within.hasattr("network")) within = within.attr("network").toModule();
  if (has_own_text_tower(within)) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: the model has learned words before, which stand behind a head; begin with "
                    "the model as it was without the head, to which vsx rollback or vsx reencode "
                    "brings the catalogue back",
                    path));
  }
  if (network.find_method("encode_text") || network.hasattr("text")) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the model understands words already, by a text tower of its own; "
                            "train one for a model without",
                            path));
  }
}

torch::jit::Module with_text_tower(const torch::jit::Module& network,
                                   const torch::jit::Module& tower, const std::string& path) {
  std::optional<torch::jit::Module> sentence;
  if (tower.hasattr(kSentenceMark)) sentence = tower.attr("sentence").toModule();
  check_takes_tower(network, sentence ? &*sentence : nullptr, path);
  torch::jit::Module joined = network.clone();
  if (has_own_text_tower(network)) {
    torch::jit::Module old = joined.attr("text").toModule();
    for (const auto& parameter : tower.named_parameters(false)) {
      old.setattr(parameter.name, parameter.value);
    }
    for (const auto& buffer : tower.named_buffers(false)) old.setattr(buffer.name, buffer.value);
    return joined;
  }
  joined.register_module("text", tower);
  joined.define(kEncodeText);
  return joined;
}

bool has_own_text_tower(const torch::jit::Module& network) {
  return has_mark(network, kMark) || has_mark(network, kSentenceMark);
}

torch::jit::Module with_mapped_tower(const torch::jit::Module& network, const at::Tensor& map) {
  torch::jit::Module joined = network.clone();
  torch::jit::Module tower = joined.attr("text").toModule();
  tower.setattr("out_weight", map.matmul(tower.attr("out_weight").toTensor()));
  tower.setattr("out_bias", map.mv(tower.attr("out_bias").toTensor()));
  return joined;
}

}  // namespace vsearch::training
