#include "train/measured_part.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "train/training_set.h"

namespace vsearch::training {
namespace {

using Numbers = std::vector<std::uint32_t>;

// Every list of pictures in a protocol.
template <class AnyProtocol, class Body>
void for_each_list(AnyProtocol& protocol, Body&& body) {
  body(protocol.queries);
  body(protocol.gallery);
  for (auto& list : protocol.positives) body(list);
  for (auto& list : protocol.ignored) body(list);
}

// Those that ask with no picture that is learned from, or held out as split "val".
std::vector<Protocol> independent_protocols(const Dataset& dataset,
                                            const std::vector<bool>& is_learned) {
  std::vector<Protocol> protocols;
  for (const Protocol& protocol : dataset.protocols) {
    const bool is_apart = std::ranges::none_of(protocol.queries, [&](std::uint32_t query) {
      return is_learned[query] || dataset.pictures[query].split == "val";
    });
    if (is_apart && !protocol.queries.empty()) protocols.push_back(protocol);
  }
  return protocols;
}

std::vector<bool> are_needed(const Dataset& dataset, const std::vector<Protocol>& protocols) {
  std::vector<bool> are(dataset.pictures.size(), false);
  for (const Protocol& protocol : protocols) {
    for_each_list(protocol, [&](const Numbers& list) {
      for (const std::uint32_t picture : list) are[picture] = true;
    });
  }
  return are;
}

}  // namespace

Dataset kept_apart_part(const Dataset& dataset, const TrainOptions& options) {
  const std::vector<bool> is_learned = are_of_learned_split(dataset, options);
  const std::vector<bool> is_needed =
      are_needed(dataset, independent_protocols(dataset, is_learned));
  Numbers pictures;
  for (std::uint32_t i = 0; i < is_needed.size(); ++i) {
    if (is_needed[i] && !is_learned[i]) pictures.push_back(i);
  }
  return part_of(dataset, pictures);
}

}  // namespace vsearch::training

namespace vsearch {

Dataset measured_part(const Dataset& dataset, const TrainOptions& options) {
  std::vector<Protocol> protocols =
      training::independent_protocols(dataset, training::are_of_learned_split(dataset, options));
  const std::vector<bool> is_needed = training::are_needed(dataset, protocols);
  training::Numbers pictures;
  training::Numbers place(is_needed.size(), 0);
  for (std::uint32_t i = 0; i < is_needed.size(); ++i) {
    if (!is_needed[i]) continue;
    place[i] = static_cast<std::uint32_t>(pictures.size());
    pictures.push_back(i);
  }
  Dataset part = training::part_of(dataset, pictures);
  part.classes = dataset.classes;
  part.domains = dataset.domains;
  for (const DatasetField& field : dataset.fields) {
    part.fields.push_back({field.name, field.values, {}});
    for (const std::uint32_t i : pictures) {
      part.fields.back().of_picture.push_back(field.of_picture[i]);
    }
  }
  for (Protocol& protocol : protocols) {
    training::for_each_list(protocol, [&](training::Numbers& list) {
      for (std::uint32_t& picture : list) picture = place[picture];
    });
  }
  part.protocols = std::move(protocols);
  return part;
}

}  // namespace vsearch
