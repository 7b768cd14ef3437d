// load_encoder() and what it returns, on tiny packages made here.
#include <torch/csrc/jit/serialization/pickle.h>
#include <torch/script.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "encoder/golden.h"
#include "support/skip.h"
#include "support/temp_dir.h"
#include "support/torch_package.h"
#include "util/sha256.h"
#include "vsearch/encoder.h"
#include "vsearch/error.h"

using nlohmann::json;
using vsearch::Encoder;
using vsearch::EncoderOptions;
using vsearch::Error;
using vsearch::ErrorCode;
using vsearch::Image;
using vsearch::ImageView;
using vsearch::Matrix;
using vsearch_test::kMeanColour;
using vsearch_test::manifest;
using vsearch_test::Pictures;
using vsearch_test::save_package;
using vsearch_test::save_sound_package;
using vsearch_test::script;
using vsearch_test::unverified;

namespace {

namespace fs = std::filesystem;

std::string message_of(const std::function<void()>& call, ErrorCode code) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "no error";
}

// What encode() says of a script that does not keep its promise.
std::string fault_of_script(const std::string& body, ErrorCode code = ErrorCode::kBadModel) {
  vsearch_test::TempDir dir;
  const fs::path path = dir / "m.vsm.pt";
  save_package(path, "def encode_image(self, x):\n    " + body + "\n", manifest());
  const auto encoder = vsearch::load_encoder(path, unverified());
  const Pictures pictures(1);  // several might come in batches of any size
  std::string message = message_of([&] { encoder->encode(pictures.views); }, code);
  const std::string prefix = path.string() + ": ";
  CHECK_THAT(message, Catch::StartsWith(prefix));
  return message.substr(std::min(message.size(), prefix.size()));
}

constexpr char kRemedy[] = "; make a package with python -m vsearch.export, see docs/models.md";

}  // namespace

TEST_CASE("a package loads and proves its golden pairs") {
  vsearch_test::TempDir dir;
  const fs::path path = save_sound_package(dir / "m.vsm.pt");
  const auto encoder = vsearch::load_encoder(path);
  CHECK(encoder->info().name == "tiny");
  CHECK(encoder->info().dim == 3);
  CHECK(encoder->info().metric == vsearch::Metric::kCosine);
  CHECK(encoder->encode({}).rows == 0);
}

TEST_CASE("the embedding is that of the prepared pixels") {
  vsearch_test::TempDir dir;
  json description = manifest();
  const bool bgr = GENERATE(false, true);
  description["input"]["resize"] = {{"edge", "none"}};
  description["input"]["colour_order"] = bgr ? "bgr" : "rgb";
  save_package(dir / "m.vsm.pt", kMeanColour, description);
  const auto encoder = vsearch::load_encoder(dir / "m.vsm.pt", unverified());
  // 10 x 8 pixels, of which the middle 8 x 6 count; the rim is white.
  Image image(10, 8);
  std::ranges::fill(image.pixels, std::uint8_t{255});
  const std::uint8_t colour[] = {51, 102, 204};
  for (std::size_t y = 1; y < 7; ++y) {
    for (std::size_t x = 1; x < 9; ++x) {
      std::copy_n(colour, 3, image.pixels.data() + (y * 10 + x) * 3);
    }
  }
  const ImageView view = image.view();
  const Matrix embedding = encoder->encode({&view, 1});
  REQUIRE(embedding.rows == 1);
  REQUIRE(embedding.cols == 3);
  CHECK(embedding.data[0] == Approx((bgr ? 0.8 : 0.2) - 0.5));
  CHECK(embedding.data[1] == Approx(2 * (0.4 - 0.25) / 0.5));
  CHECK(embedding.data[2] == Approx(4 * ((bgr ? 0.2 : 0.8) - 0.125) / 0.25));
}

TEST_CASE("a picture's embedding does not depend on its neighbours or on the padding of its rows") {
  vsearch_test::TempDir dir;
  const fs::path path = save_sound_package(dir / "m.vsm.pt");
  const Pictures pictures(7);
  EncoderOptions options;
  options.batch_size = 1;
  const Matrix alone = vsearch::load_encoder(path, options)->encode(pictures.views);
  options.batch_size = 3;
  CHECK(vsearch::load_encoder(path, options)->encode(pictures.views).data == alone.data);

  const Image& image = pictures.images[4];
  const std::size_t stride = std::size_t{image.width_px} * 3 + 5;
  std::vector<std::uint8_t> padded(stride * image.height_px, 77);
  for (std::uint32_t y = 0; y < image.height_px; ++y) {
    std::copy_n(image.view().row(y), std::size_t{image.width_px} * 3, padded.data() + y * stride);
  }
  const ImageView view{padded.data(), image.width_px, image.height_px, stride};
  const Matrix same = vsearch::load_encoder(path)->encode({&view, 1});
  CHECK(std::ranges::equal(same.row(0), alone.row(4)));
}

TEST_CASE("many threads share an encoder") {
  vsearch_test::TempDir dir;
  const auto encoder = vsearch::load_encoder(save_sound_package(dir / "m.vsm.pt"));
  const Pictures pictures(5);
  const Matrix expected = encoder->encode(pictures.views);
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        if (encoder->encode(pictures.views).data != expected.data) ++wrong[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}

TEST_CASE("encoding reports progress and can be cancelled") {
  vsearch_test::TempDir dir;
  EncoderOptions options;
  options.batch_size = 2;
  const auto encoder = vsearch::load_encoder(save_sound_package(dir / "m.vsm.pt"), options);
  const Pictures pictures(9);
  const std::thread::id caller = std::this_thread::get_id();
  std::vector<std::uint64_t> done;
  encoder->encode(pictures.views, [&](std::uint64_t now, std::uint64_t total) {
    CHECK(total == 9);
    CHECK(std::this_thread::get_id() == caller);
    done.push_back(now);
    return true;
  });
  // How many calls there are depends on how the threads share the work.
  CHECK(std::ranges::is_sorted(done, std::less_equal<>()));
  REQUIRE_FALSE(done.empty());
  CHECK(done.back() == 9);
  CHECK_THAT(
      message_of([&] { encoder->encode(pictures.views, [](auto, auto) { return false; }); },
                 ErrorCode::kCancelled),
      Catch::StartsWith("encoding was cancelled after ") && Catch::EndsWith(" of 9 pictures"));
}

TEST_CASE("the fingerprint covers the manifest and the weights, not the golden pairs") {
  vsearch_test::TempDir dir;
  const fs::path path = dir / "m.vsm.pt";
  json description = manifest();
  save_package(path, kMeanColour, description);
  const std::string fingerprint = vsearch::load_encoder(path, unverified())->info().fingerprint;

  // By the specification, by hand.
  std::string bytes =
      R"({"architecture":"mean colour","dim":3,"format_version":1,"input":{"colour_order":"rgb",)"
      R"("crop":"center","height":6,"mean":["f64:3fe0000000000000","f64:3fd0000000000000",)"
      R"("f64:3fc0000000000000"],"resize":{"edge":"shortest","interpolation":"bicubic","size":10},)"
      R"("std":["f64:3ff0000000000000","f64:3fe0000000000000","f64:3fd0000000000000"],"width":8},)"
      R"("license":"MIT","metric":"cosine","name":"tiny","outputs":{"embedding":3},)"
      R"("source":"a test","text":false})";
  bytes += std::string("weight\0float32\0", 15) + std::string("3\0", 2);
  const float weight[] = {1.0F, 2.0F, 4.0F};
  bytes.append(reinterpret_cast<const char*>(weight), sizeof weight);
  CHECK(fingerprint == vsearch::util::sha256_hex(std::as_bytes(std::span(bytes))));

  description["golden"][0]["embedding"] = {3, 2, 1};
  save_package(path, kMeanColour, description);
  CHECK(vsearch::load_encoder(path, unverified())->info().fingerprint == fingerprint);
  description["architecture"] = "another";
  save_package(path, kMeanColour, description);
  CHECK(vsearch::load_encoder(path, unverified())->info().fingerprint != fingerprint);
}

TEST_CASE("golden pairs that do not match are refused") {
  vsearch_test::TempDir dir;
  const fs::path path = dir / "m.vsm.pt";
  save_package(path, kMeanColour, manifest());
  CHECK_THAT(message_of([&] { vsearch::load_encoder(path); }, ErrorCode::kBadModel),
             Catch::StartsWith(path.string() + ": golden pair 1 of 2 does not match: cosine "));
  CHECK_NOTHROW(vsearch::load_encoder(path, unverified()));
}

TEST_CASE("files that are no packages are refused with the remedy") {
  vsearch_test::TempDir dir;
  const auto message = [](const fs::path& path, ErrorCode code = ErrorCode::kBadModel) {
    return message_of([&] { vsearch::load_encoder(path); }, code);
  };
  const fs::path path = dir / "m.vsm.pt";
  CHECK(message(path, ErrorCode::kFileNotFound) ==
        path.string() + ": no such file; check the path");
  CHECK_THAT(message(dir.path()),
             Catch::StartsWith(dir.path().string() + ": a folder, not a model package; make a"));

  const std::string no_archive = path.string() + ": not a TorchScript archive, or a damaged one: ";
  std::ofstream(path) << "";
  CHECK_THAT(message(path), Catch::StartsWith(no_archive) && Catch::EndsWith(kRemedy));
  std::ofstream(path) << "just a text";
  CHECK_THAT(message(path), Catch::StartsWith(no_archive) && Catch::EndsWith(kRemedy));
  // What torch.save() writes in Python: an archive without code.
  const std::vector<char> pickled = torch::jit::pickle_save(torch::ones({3}));
  std::ofstream(path, std::ios::binary).write(pickled.data(), std::ssize(pickled));
  CHECK_THAT(message(path), Catch::StartsWith(no_archive) && Catch::EndsWith(kRemedy));

  save_sound_package(path);
  fs::resize_file(path, fs::file_size(path) * 2 / 3);
  CHECK_THAT(message(path), Catch::StartsWith(no_archive) && Catch::EndsWith(kRemedy));
  CHECK_THAT(message(path), !Catch::Contains("\n"));

  script(kMeanColour).save(path.string());
  CHECK(message(path) == path.string() +
                             ": a TorchScript file without vsearch.json: not a model package" +
                             kRemedy + ", or set EncoderOptions::preprocessing");
  save_package(path, "def forward(self, x):\n    return x\n", manifest());
  CHECK(message(path) == path.string() + ": its script has no method encode_image" + kRemedy);
  json broken = manifest();
  broken.erase("dim");
  save_package(path, kMeanColour, broken);
  CHECK_THAT(message(path), Catch::Contains("a broken manifest (vsearch.json): dim is missing"));
}

TEST_CASE("a model that does not keep its promise is an error") {
  CHECK(fault_of_script("return x.mean([2, 3])[:, :2]") ==
        std::string("the model gave embeddings of 2 dimensions, its manifest says 3") + kRemedy);
  CHECK(fault_of_script("return x") ==
        std::string("encode_image gave Float [1, 3, 6, 8] for a batch of 1, not float [1, dim]") +
            kRemedy);
  CHECK(fault_of_script("return x.mean([0, 2, 3])") ==
        std::string("encode_image gave Float [3] for a batch of 1, not float [1, dim]") + kRemedy);
  CHECK(fault_of_script("return x.mean([2, 3]).long()") ==
        std::string("encode_image gave Long [1, 3] for a batch of 1, not float [1, dim]") +
            kRemedy);
  CHECK(fault_of_script("return 3") ==
        std::string("encode_image gave Int instead of a tensor") + kRemedy);
  CHECK_THAT(fault_of_script("return x.mean([2, 3]) * float('nan')"),
             Catch::StartsWith("the model gave NaN for picture 1"));
  CHECK_THAT(fault_of_script("return x.mean([2, 3]) / 0.0"),
             Catch::StartsWith("the model gave an infinite value for picture 1"));
  CHECK(fault_of_script("return x.view([7])") ==
        std::string("shape '[7]' is invalid for input of size 144") + kRemedy);
  CHECK_THAT(fault_of_script("return torch.zeros([1 << 60])", ErrorCode::kOutOfMemory),
             Catch::StartsWith("not enough memory (") &&
                 Catch::EndsWith("; use a smaller EncoderOptions::batch_size"));
}

TEST_CASE("pictures that cannot be encoded are errors") {
  vsearch_test::TempDir dir;
  const fs::path path = save_sound_package(dir / "m.vsm.pt");
  const auto encoder = vsearch::load_encoder(path);
  Pictures pictures(3);
  const auto message = [&encoder](std::vector<ImageView> views, ErrorCode code) {
    return message_of([&] { encoder->encode(views); }, code);
  };
  auto views = pictures.views;
  views[1] = ImageView{};
  CHECK(message(views, ErrorCode::kInvalidArgument) == "picture 2 of 3 is empty; leave it out");
  views = pictures.views;
  views[2].stride_bytes = 3;
  CHECK(message(views, ErrorCode::kInvalidArgument) ==
        "picture 3 of 3: a stride of 3 bytes is less than a row of 26 pixels of 3 bytes; set "
        "ImageView::stride_bytes");
  const std::vector<std::uint8_t> line(60000 * 3, 9);
  json wide = manifest();
  wide["input"]["resize"]["size"] = 64;
  save_package(path, kMeanColour, wide);
  const ImageView long_view{line.data(), 60000, 1, line.size()};
  CHECK(message_of(
            [&] {
              vsearch::load_encoder(path, unverified())->encode({&long_view, 1});
            },
            ErrorCode::kBadImage) ==
        "picture 1: 60000 x 1 pixels are too long and narrow to resize; cut the picture");
  wide["input"]["resize"] = {{"edge", "none"}};
  save_package(path, kMeanColour, wide);
  CHECK(message_of(
            [&] {
              vsearch::load_encoder(path, unverified())->encode({&long_view, 1});
            },
            ErrorCode::kBadImage) ==
        "picture 1: 60000 x 1 pixels, but the model takes 8 x 6 and does not resize; scale the "
        "picture first");
}

TEST_CASE("a bare TorchScript file works with explicit preprocessing") {
  vsearch_test::TempDir dir;
  const fs::path path = dir / "bare.pt";
  vsearch::Preprocessing preprocessing;
  preprocessing.width_px = 8;
  preprocessing.height_px = 6;
  preprocessing.resize_width_px = preprocessing.resize_height_px = 10;
  EncoderOptions options;
  options.preprocessing = preprocessing;

  script("def forward(self, x):\n    return x.mean([2, 3])[:, :2]\n").save(path.string());
  const auto by_forward = vsearch::load_encoder(path, options);
  CHECK(by_forward->info().name == "bare");
  CHECK(by_forward->info().dim == 2);
  CHECK(by_forward->info().preprocessing.width_px == 8);
  CHECK(by_forward->info().fingerprint.size() == 64);
  const Pictures pictures(3);
  CHECK(by_forward->encode(pictures.views).cols == 2);
  options.preprocessing->mean[0] = 0.25F;
  CHECK(vsearch::load_encoder(path, options)->info().fingerprint != by_forward->info().fingerprint);

  script(std::string("def forward(self, x):\n    return x\n") + kMeanColour).save(path.string());
  CHECK(vsearch::load_encoder(path, options)->info().dim == 3);

  options.preprocessing->stddev[1] = 0;
  CHECK(message_of([&] { vsearch::load_encoder(path, options); }, ErrorCode::kInvalidArgument) ==
        path.string() + ": EncoderOptions::preprocessing cannot be followed: std[1] is 0");
  save_sound_package(path);
  CHECK_THAT(message_of([&] { vsearch::load_encoder(path, options); }, ErrorCode::kInvalidArgument),
             Catch::EndsWith("leave EncoderOptions::preprocessing empty"));
}

TEST_CASE("options that cannot be met are errors") {
  vsearch_test::TempDir dir;
  const fs::path path = save_sound_package(dir / "m.vsm.pt");
  EncoderOptions options;
  options.batch_size = 0;
  CHECK(message_of([&] { vsearch::load_encoder(path, options); }, ErrorCode::kInvalidArgument) ==
        "EncoderOptions::batch_size is 0; it must be at least 1");
  options = {};
  options.device = vsearch::Device::kCuda;
  options.device_index = 99;  // no machine has it
  CHECK_THAT(message_of([&] { vsearch::load_encoder(path, options); }, ErrorCode::kUnavailable),
             Catch::StartsWith("CUDA "));
}

TEST_CASE("the default encoder passes its golden pairs") {
  fs::path path;
  try {
    path = vsearch::find_encoder();
  } catch (const Error& error) {
    VSEARCH_SKIP(error.what());
  }
  const auto encoder = vsearch::load_encoder(path);
  CHECK(encoder->info().name == "efficientnet-lite0");
  CHECK(encoder->info().dim == 384);
  CHECK(encoder->info().license == "Apache-2.0");
}
