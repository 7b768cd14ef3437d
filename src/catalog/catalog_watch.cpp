// Catalog::watch: folders are followed, and the catalogue with them.
#include <optional>
#include <utility>

#include "catalog/folder_watch.h"
#include "vsearch/catalog.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

// Folders that cannot be followed now may be another time; what makes no sense never will, but
// where it once did: a folder that is empty for a moment, two files of one name.
bool may_pass(const Error& error, bool has_synchronised) {
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
      return has_synchronised;
    case ErrorCode::kRefused:
    case ErrorCode::kIo:
    case ErrorCode::kFileNotFound:
    case ErrorCode::kBusy:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Catalog::watch(const FilesSource& source, const SyncOptions& options, const WatchOptions& how,
                    const std::function<bool(const SyncReport&)>& report,
                    const std::function<void(const Error&)>& trouble, const Progress& progress) {
  if (options.dry_run) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "a dry run changes nothing, so there is nothing to watch for; leave one of them out");
  }
  // Made first: what changes while the first synchronisation runs is seen after it.
  detail::FolderWatch folders(source.paths);
  detail::WatchTimes times;
  times.quiet = how.quiet;
  const auto go_on = [&] { return !progress || progress(0, 0); };
  bool has_synchronised = false;
  while (true) {
    try {
      const SyncReport result = sync(source, options, progress);
      has_synchronised = true;
      if (report && !report(result)) return;
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kCancelled) return;
      if (!may_pass(e, has_synchronised)) throw;
      if (trouble) trouble(e);
    }
    const std::optional<detail::FolderChanges> changes = folders.wait(go_on, times);
    if (!changes) return;
    if (!changes->problem.empty() && trouble) trouble(Error(ErrorCode::kIo, changes->problem));
  }
}

}  // namespace vsearch
