// A shop whose catalogue is written by processes that are killed, and what must be in it, known
// without asking it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/bmp.h"
#include "support/fake_encoder.h"
#include "support/vectors.h"
#include "vsearch/catalog.h"

namespace vsearch_test {

// What stands under a key.
struct ItemState {
  std::uint32_t look = 0;     // which of its pictures it has; 0: there is no such item
  std::uint32_t version = 0;  // of its metadata: no other state of the item ever has the same

  bool present() const { return look != 0; }
  friend bool operator==(const ItemState&, const ItemState&) = default;
};

// Another model of the same dimension: the embeddings of FakeEncoder, turned round.
class TurnedEncoder : public FakeEncoder {
 public:
  TurnedEncoder() : info_(FakeEncoder::info()) {
    info_.name = "fake-turned";
    info_.fingerprint = std::string(64, 'e');
  }
  const vsearch::EncoderInfo& info() const override { return info_; }
  vsearch::Matrix encode(std::span<const vsearch::ImageView> images,
                         const vsearch::Progress& progress = {}) const override {
    vsearch::Matrix result = FakeEncoder::encode(images, progress);
    for (std::size_t row = 0; row < result.rows; ++row) std::ranges::reverse(result.row(row));
    return result;
  }

 private:
  vsearch::EncoderInfo info_;
};

// The items that there may be, by number. Every look of an item has pictures of its own, in files
// that never change.
class KillShop {
 public:
  static constexpr std::uint32_t kLooks = 4;
  static constexpr std::size_t kEncoders = 2;

  // Writes the pictures into the new folder `folder`.
  KillShop(const std::filesystem::path& folder, std::size_t items)
      : encoders_{std::make_shared<FakeEncoder>(), std::make_shared<TurnedEncoder>()},
        pictures_(items) {
    std::filesystem::create_directory(folder);
    Random random(1);
    for (std::size_t item = 0; item < items; ++item) {
      for (std::uint32_t look = 1; look <= kLooks; ++look) {
        const std::size_t count = 1 + random.below(2);
        for (std::size_t i = 0; i < count; ++i) {
          Stored picture;
          const std::string name = key(item) + "-" + std::to_string(look) + "-" + std::to_string(i);
          picture.path = (folder / (name + ".bmp")).string();
          picture.bytes = noise(random, picture.embeddings);
          write_file(picture.path, picture.bytes);
          pictures_[item][look - 1].push_back(std::move(picture));
        }
      }
    }
  }

  std::size_t size() const { return pictures_.size(); }
  const std::shared_ptr<vsearch::Encoder>& encoder(std::size_t number) const {
    return encoders_[number];
  }
  // Throws std::out_of_range.
  std::size_t encoder_number(const std::string& fingerprint) const {
    for (std::size_t i = 0; i < kEncoders; ++i) {
      if (encoders_[i]->info().fingerprint == fingerprint) return i;
    }
    throw std::out_of_range("no encoder has the fingerprint " + fingerprint);
  }

  static std::string key(std::size_t item) { return std::to_string(item); }

  // As the catalogue keeps it. Some are longer than a page of the database.
  static std::string metadata(std::size_t item, ItemState state) {
    return R"({"item":)" + std::to_string(item) + "," + versioned(state) + "}";
  }
  // Makes the metadata those of `state` from those of any other state of the item.
  static std::string patch(ItemState state) { return "{" + versioned(state) + "}"; }

  // To be added: as a file, as bytes, or as bytes that the catalogue keeps. Borrows from here.
  vsearch::Item item(std::size_t item, ItemState state) const {
    vsearch::Item result{key(item), {}, metadata(item, state)};
    for (const Stored& picture : pictures_[item][state.look - 1]) {
      vsearch::Picture& added = result.pictures.emplace_back();
      added.path = picture.path;
      if (item % 3 > 0) added.bytes = picture.bytes;
      added.keep_bytes = item % 3 == 2;
    }
    return result;
  }

  std::vector<std::string> paths(std::size_t item, std::uint32_t look) const {
    std::vector<std::string> result;
    for (const Stored& picture : pictures_[item][look - 1]) result.push_back(picture.path);
    return result;
  }
  std::vector<std::span<const float>> embeddings(std::size_t item, std::uint32_t look,
                                                 std::size_t encoder) const {
    std::vector<std::span<const float>> result;
    for (const Stored& picture : pictures_[item][look - 1]) {
      result.emplace_back(picture.embeddings[encoder]);
    }
    return result;
  }

 private:
  using Embeddings = std::array<std::vector<float>, kEncoders>;
  struct Stored {
    std::string path;
    std::vector<std::byte> bytes;
    Embeddings embeddings;  // of each encoder
  };

  static std::string versioned(ItemState state) {
    const std::size_t length = state.version % 16 == 0 ? 5000 : state.version % 7 * 20;
    return R"("text":")" + std::string(length, 'x') + R"(","version":)" +
           std::to_string(state.version);
  }

  // A picture that is like no other one, and its embeddings.
  std::vector<std::byte> noise(Random& random, Embeddings& embeddings) const {
    constexpr std::uint32_t kSide = FakeEncoder::kGrid;
    std::array<std::uint8_t, std::size_t{kSide} * kSide * 3> pixels{};
    for (std::uint8_t& value : pixels) value = static_cast<std::uint8_t>(random.below(256));
    const vsearch::ImageView view{pixels.data(), kSide, kSide, std::size_t{kSide} * 3};
    for (std::size_t i = 0; i < kEncoders; ++i) {
      embeddings[i] = encoders_[i]->encode({&view, 1}).data;
    }
    return bmp(kSide, kSide, [&](std::uint32_t x, std::uint32_t y) {
      const std::uint8_t* const pixel = &pixels[(y * kSide + x) * 3];
      return Rgb{pixel[0], pixel[1], pixel[2]};
    });
  }

  const std::array<std::shared_ptr<vsearch::Encoder>, kEncoders> encoders_;
  std::vector<std::array<std::vector<Stored>, kLooks>> pictures_;
};

}  // namespace vsearch_test
