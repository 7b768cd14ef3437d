// Fast forms, precisions, words, tokens and pixel formats, on tiny packages made here.
#include <c10/core/CPUAllocator.h>
#include <torch/script.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "encoder/choice_cache.h"
#include "support/errors.h"
#include "support/skip.h"
#include "support/temp_dir.h"
#include "support/torch_package.h"
#include "vsearch/encoder.h"

namespace fs = std::filesystem;
using nlohmann::json;
using vsearch::EncoderOptions;
using vsearch::ErrorCode;
using vsearch::Image;
using vsearch::ImageView;
using vsearch::Matrix;
using vsearch::PixelFormat;
using vsearch::Precision;
using vsearch_test::error_message;
using vsearch_test::manifest;
using vsearch_test::TempDir;

namespace {

// A fast form of the mean colour. What it gives is `skew` away from the plain form in one
// dimension.
std::string fast_form(const std::string& skew, const std::string& prepare = "pass") {
  torch::jit::Module module("fast");
  module.register_attribute("packed", c10::TensorType::get(), torch::zeros({3}));
  module.define(
      "def prepare(self, weights: Dict[str, Tensor]) -> None:\n"
      "    " +
      prepare +
      "\n"
      "    self.packed = weights['weight'].clone()\n"
      "def encode_image(self, x):\n"
      "    return x.mean([2, 3]) * self.packed + torch.tensor([" +
      skew + ", 0.0, 0.0])\n");
  std::ostringstream archive;
  module.save(archive);
  return archive.str();
}

// A sound package with golden pairs and these extra files and `fast` key.
fs::path save_with_forms(const fs::path& path, const json& fast, torch::jit::ExtraFilesMap forms) {
  vsearch_test::save_sound_package(path);
  torch::jit::ExtraFilesMap extra{{"vsearch.json", ""}};
  const torch::jit::Module module = torch::jit::load(path.string(), torch::kCPU, extra);
  json description = json::parse(extra["vsearch.json"]);
  description["fast"] = fast;
  forms["vsearch.json"] = description.dump();
  module.save(path.string(), forms);
  return path;
}

EncoderOptions in(Precision precision) {
  EncoderOptions options;
  options.precision = precision;
  return options;
}

std::vector<float> embedding_of(const fs::path& path, const EncoderOptions& options) {
  const Image picture = vsearch::encoder::golden_picture(20, 15, 3);
  const ImageView view = picture.view();
  return vsearch::load_encoder(path, options)->encode({&view, 1}).data;
}

// The cache of choices goes into a folder of the test's own.
struct OwnCache {
  OwnCache() { ::setenv("XDG_CACHE_HOME", dir.path().c_str(), 1); }
  ~OwnCache() { ::unsetenv("XDG_CACHE_HOME"); }
  TempDir dir;
};

}  // namespace

TEST_CASE("a fast form computes with the weights of the plain form") {
  const OwnCache cache;
  TempDir dir;
  const fs::path path = save_with_forms(dir / "m.vsm.pt", {{"bf16", {{"min_cosine", 0.99}}}},
                                        {{"fast_bf16.pt", fast_form("0.001")}});
  const std::vector<float> plain = embedding_of(path, in(Precision::kFloat32));
  const std::vector<float> fast = embedding_of(path, in(Precision::kBFloat16));
  CHECK(fast[0] == Approx(plain[0] + 0.001).margin(1e-6));
  CHECK(fast[1] == Approx(plain[1]));

  const auto encoder = vsearch::load_encoder(path, in(Precision::kBFloat16));
  CHECK(encoder->info().precision == Precision::kBFloat16);
  REQUIRE(encoder->info().fast_forms.size() == 1);
  CHECK(encoder->info().fast_forms[0] == Precision::kBFloat16);
  // The same model, whatever it computes in.
  CHECK(encoder->info().fingerprint ==
        vsearch::load_encoder(path, in(Precision::kFloat32))->info().fingerprint);
  CHECK(vsearch::load_encoder(vsearch_test::save_sound_package(dir / "plain.vsm.pt"))
            ->info()
            .fingerprint == encoder->info().fingerprint);
}

TEST_CASE("a fast form that strays from the plain form is refused, and auto does without it") {
  const OwnCache cache;
  TempDir dir;
  const fs::path path = save_with_forms(dir / "m.vsm.pt", {{"int8", {{"min_cosine", 0.999}}}},
                                        {{"fast_int8.pt", fast_form("9.0")}});
  CHECK_THAT(error_message(ErrorCode::kBadModel, [&] { embedding_of(path, in(Precision::kInt8)); }),
             Catch::StartsWith(path.string() + ": golden pair 1 of 2 does not match: cosine ") &&
                 Catch::Contains("at least 0.99900 is needed"));
  CHECK(vsearch::load_encoder(path)->info().precision == Precision::kFloat32);
}

TEST_CASE("a fast form that this machine cannot run is refused, and auto does without it") {
  const OwnCache cache;
  TempDir dir;
  const fs::path path =
      save_with_forms(dir / "m.vsm.pt", {{"int8", {{"min_cosine", 0.999}}}},
                      {{"fast_int8.pt", fast_form("0.0", "self.packed = weights['absent']")}});
  CHECK_THAT(
      error_message(ErrorCode::kUnavailable, [&] { embedding_of(path, in(Precision::kInt8)); }),
      Catch::StartsWith(path.string() + ": its fast_int8.pt does not run on this machine: ") &&
          Catch::EndsWith("; load the model with another precision"));
  CHECK(vsearch::load_encoder(path)->info().precision == Precision::kFloat32);
}

TEST_CASE("a precision that a package does not have is an error with the remedy") {
  TempDir dir;
  const fs::path path = vsearch_test::save_sound_package(dir / "m.vsm.pt");
  CHECK(error_message(ErrorCode::kUnavailable, [&] { embedding_of(path, in(Precision::kInt8)); }) ==
        path.string() +
            ": cannot run in int8 on a CPU; export it again with --precision int8, see "
            "docs/models.md, or load it with another precision");
  CHECK(error_message(ErrorCode::kUnavailable, [&] {
          embedding_of(path, in(Precision::kFloat16));
        }) == path.string() + ": cannot run in fp16 on a CPU; load it with another precision");
}

TEST_CASE("without a fast form, bf16 is the plain form converted") {
  TempDir dir;
  const fs::path path = vsearch_test::save_sound_package(dir / "m.vsm.pt");
  CHECK(vsearch::load_encoder(path, in(Precision::kBFloat16))->info().precision ==
        Precision::kBFloat16);
  const std::vector<float> plain = embedding_of(path, in(Precision::kFloat32));
  const std::vector<float> half = embedding_of(path, in(Precision::kBFloat16));
  CHECK(half != plain);
  for (std::size_t i = 0; i < plain.size(); ++i) CHECK(half[i] == Approx(plain[i]).epsilon(0.02));
}

TEST_CASE("a fast form that the manifest names must be in the file, and whole") {
  TempDir dir;
  const json fast = {{"bf16", {{"min_cosine", 0.9}}}};
  const fs::path path = save_with_forms(dir / "m.vsm.pt", fast, {});
  CHECK_THAT(
      error_message(ErrorCode::kBadModel, [&] { vsearch::load_encoder(path); }),
      Catch::StartsWith(path.string() +
                        ": its manifest names a fast form in bf16, which is not in the file"));
  save_with_forms(path, fast, {{"fast_bf16.pt", "nonsense"}});
  CHECK_THAT(
      error_message(ErrorCode::kBadModel, [&] { embedding_of(path, in(Precision::kBFloat16)); }),
      Catch::StartsWith(path.string() +
                        ": its fast_bf16.pt is not a TorchScript archive, or a damaged one: "));
}

TEST_CASE("what was chosen on this machine is remembered") {
  const OwnCache cache;
  CHECK_FALSE(vsearch::encoder::find_choice("a model on a machine"));
  vsearch::encoder::remember_choice("a model on a machine", "fast bf16");
  CHECK(vsearch::encoder::find_choice("a model on a machine") == "fast bf16");
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(cache.dir / "vsearch")) {
    std::ifstream file(entry.path());
    std::string line;
    std::getline(file, line);
    CHECK(line == "fast bf16");
    ++files;
  }
  CHECK(files == 1);
  // Where nothing can be written, nothing is lost but time.
  ::setenv("XDG_CACHE_HOME", "/proc/no-such-folder", 1);
  vsearch::encoder::remember_choice("another", "plain fp32");
  CHECK(vsearch::encoder::find_choice("another") == "plain fp32");
}

TEST_CASE("what was chosen for one precision is not the choice among all") {
  const OwnCache cache;
  TempDir dir;
  const fs::path path = save_with_forms(
      dir / "m.vsm.pt", {{"fp32", {{"min_cosine", 0.99}}}, {"bf16", {{"min_cosine", 0.99}}}},
      {{"fast_fp32.pt", fast_form("0.0")}, {"fast_bf16.pt", fast_form("0.0")}});
  const auto remembered = [&] {
    const fs::directory_iterator files(cache.dir / "vsearch");
    return std::distance(begin(files), end(files));
  };
  CHECK(vsearch::load_encoder(path, in(Precision::kFloat32))->info().precision ==
        Precision::kFloat32);
  CHECK(remembered() == 1);  // the fast or the plain form
  vsearch::load_encoder(path);
  CHECK(remembered() == 2);
  vsearch::load_encoder(path);
  CHECK(remembered() == 2);
}

TEST_CASE("words and tokens come from the script") {
  TempDir dir;
  const fs::path path = dir / "m.vsm.pt";
  json description = manifest();
  description["text"] = true;
  description["outputs"]["tokens"] = 2;
  description["golden_text"] = {{{"text", "cat"}, {"embedding", {3, 1, 0}}}};
  const std::string source = std::string(vsearch_test::kMeanColour) +
                             "def encode_tokens(self, x):\n"
                             "    return x[:, :2, :3, 0].transpose(1, 2)\n"
                             "def encode_text(self, texts: List[str]):\n"
                             "    lengths = [float(len(t)) for t in texts]\n"
                             "    made = torch.tensor(lengths).unsqueeze(1)\n"
                             "    return made * torch.tensor([[1.0, 0.0, 0.0]]) + "
                             "torch.tensor([[0.0, 1.0, 0.0]])\n";
  vsearch_test::save_package(path, source, description);
  const auto encoder = vsearch::load_encoder(path, vsearch_test::unverified());
  CHECK(encoder->info().has_text);
  CHECK(encoder->info().token_dim == 2);
  const std::vector<std::string> texts{"cat", "schöner Hut"};
  CHECK(encoder->encode_text(texts).data == std::vector<float>{3, 1, 0, 12, 1, 0});  // UTF-8 bytes
  CHECK(encoder->encode_text({}).rows == 0);
  // The beginning of a long one, to the end of a character: 16,383 bytes and two of four.
  std::string longest(16'383, 'a');
  for (int i = 0; i < 10; ++i) longest += "\xf0\x9f\x91\x9f";
  CHECK(encoder->encode_text({&longest, 1}).data == std::vector<float>{16'383, 1, 0});
  const std::vector<std::string> broken{"cat", "\xff"};
  CHECK(error_message(ErrorCode::kInvalidArgument, [&] { encoder->encode_text(broken); }) ==
        "text 2 of 2 is not UTF-8; convert it");

  const vsearch_test::Pictures pictures(6);
  const vsearch::Tokens tokens = encoder->encode_tokens(pictures.views);
  CHECK(tokens.per_picture == 3);
  CHECK(tokens.dim == 2);
  REQUIRE(tokens.values.size() == 6 * 3 * 2);
  const vsearch::Tokens alone = encoder->encode_tokens({&pictures.views[4], 1});
  CHECK(std::ranges::equal(tokens.of_picture(4), alone.values));

  description["golden_text"][0]["embedding"] = {1, 3, 0};
  vsearch_test::save_package(path, source, description);
  EncoderOptions plain = in(Precision::kFloat32);
  CHECK_THAT(error_message(ErrorCode::kBadModel, [&] { vsearch::load_encoder(path, plain); }),
             Catch::Contains("does not match"));
  description.erase("golden_text");
  vsearch_test::save_package(path, source, description);
  CHECK_THAT(error_message(ErrorCode::kBadModel, [&] { vsearch::load_encoder(path); }),
             Catch::Contains("golden_text is missing"));
}

TEST_CASE("a manifest that promises words or tokens needs the methods") {
  TempDir dir;
  json description = manifest();
  description["text"] = true;
  description["golden_text"] = {{{"text", "cat"}, {"embedding", {3, 1, 0}}}};
  vsearch_test::save_package(dir / "m.vsm.pt", vsearch_test::kMeanColour, description);
  CHECK_THAT(error_message(ErrorCode::kBadModel, [&] { vsearch::load_encoder(dir / "m.vsm.pt"); }),
             Catch::Contains("its script has no method encode_text"));
  description = manifest();
  description["outputs"]["tokens"] = 4;
  vsearch_test::save_package(dir / "m.vsm.pt", vsearch_test::kMeanColour, description);
  CHECK_THAT(error_message(ErrorCode::kBadModel, [&] { vsearch::load_encoder(dir / "m.vsm.pt"); }),
             Catch::Contains("its script has no method encode_tokens"));
}

TEST_CASE("pixels of every format give what the same pixels give as RGB") {
  TempDir dir;
  const auto encoder = vsearch::load_encoder(vsearch_test::save_sound_package(dir / "m.vsm.pt"));
  const Image rgb = vsearch::encoder::golden_picture(30, 24, 2);
  const auto embed = [&](const ImageView& view) { return encoder->encode({&view, 1}).data; };
  const std::vector<float> expected = embed(rgb.view());
  const std::size_t pixels = rgb.pixels.size() / 3;

  const auto convert = [&](PixelFormat format, auto fill) {
    std::vector<std::uint8_t> buffer(pixels * bytes_per_pixel(format));
    for (std::size_t i = 0; i < pixels; ++i) {
      fill(&rgb.pixels[i * 3], &buffer[i * bytes_per_pixel(format)]);
    }
    const ImageView view{buffer.data(), 30, 24, std::size_t{30} * bytes_per_pixel(format), format};
    return embed(view);
  };
  CHECK(convert(PixelFormat::kBgr, [](const std::uint8_t* from, std::uint8_t* to) {
          for (int c = 0; c < 3; ++c) to[2 - c] = from[c];
        }) == expected);
  CHECK(convert(PixelFormat::kRgba, [](const std::uint8_t* from, std::uint8_t* to) {
          std::copy_n(from, 3, to);
          to[3] = 255;
        }) == expected);
  CHECK(convert(PixelFormat::kBgra, [](const std::uint8_t* from, std::uint8_t* to) {
          for (int c = 0; c < 3; ++c) to[2 - c] = from[c];
          to[3] = 255;
        }) == expected);
  // Fully transparent pixels show the white behind them.
  Image white(30, 24);
  std::ranges::fill(white.pixels, std::uint8_t{255});
  CHECK(convert(PixelFormat::kRgba, [](const std::uint8_t* from, std::uint8_t* to) {
          std::copy_n(from, 3, to);
          to[3] = 0;
        }) == embed(white.view()));
  Image grey(30, 24);
  for (std::size_t i = 0; i < pixels; ++i) {
    std::fill_n(&grey.pixels[i * 3], 3, rgb.pixels[i * 3]);
  }
  CHECK(convert(PixelFormat::kGrey, [](const std::uint8_t* from, std::uint8_t* to) {
          *to = *from;
        }) == embed(grey.view()));
}

TEST_CASE("torch's own tensors are left alone") {
  TempDir dir;
  const auto encoder = vsearch::load_encoder(vsearch_test::save_sound_package(dir / "m.vsm.pt"));
  const vsearch_test::Pictures pictures(8);
  encoder->encode(pictures.views);
  // Made outside and freed later, before and after the pool's encoder is gone.
  torch::Tensor mine = torch::ones({1 << 20});
  void* const raw = c10::GetCPUAllocator()->raw_allocate(1 << 20);
  encoder->encode(pictures.views);
  c10::GetCPUAllocator()->raw_deallocate(raw);
  CHECK(mine.sum().item<float>() == Approx(1 << 20));
}

TEST_CASE("a GPU gives what the CPU gives") {
  TempDir dir;
  const fs::path path = vsearch_test::save_sound_package(dir / "m.vsm.pt");
  const vsearch_test::Pictures pictures(30);
  const Matrix expected = vsearch::load_encoder(path)->encode(pictures.views);
  for (const Precision precision :
       {Precision::kFloat32, Precision::kBFloat16, Precision::kFloat16, Precision::kAuto}) {
    EncoderOptions options = in(precision);
    options.device = vsearch::Device::kCuda;
    options.batch_size = 8;  // several batches: one is prepared while another is computed
    std::shared_ptr<vsearch::Encoder> encoder;
    try {
      encoder = vsearch::load_encoder(path, options);
    } catch (const vsearch::Error& error) {
      if (error.code() != ErrorCode::kUnavailable) throw;
      VSEARCH_SKIP(error.what());
    }
    std::vector<std::uint64_t> done;
    const Matrix computed = encoder->encode(pictures.views, [&](std::uint64_t now, std::uint64_t) {
      done.push_back(now);
      return true;
    });
    CHECK(done.back() == 30);
    for (std::size_t i = 0; i < expected.data.size(); ++i) {
      CHECK(computed.data[i] == Approx(expected.data[i]).epsilon(0.02).margin(0.02));
    }
  }
}
