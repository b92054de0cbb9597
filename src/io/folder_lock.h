#pragma once
// One process at a time works in a folder.
#include <filesystem>

namespace gridspot {

/// Holds a folder from construction to destruction; a process that ends in any way lets go of it. No file is written.
/// Where the file system knows no locks the folder is not guarded.
class FolderLock {
 public:
  /// Throws InvalidInput when the folder is held already, IoError when it cannot be opened.
  explicit FolderLock(const std::filesystem::path& folder);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

 private:
  int file_;
};

}  // namespace gridspot
