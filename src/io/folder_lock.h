#pragma once
// One process at a time works in a folder.
#include <filesystem>

namespace gridspot {

/// Holds a folder from construction to destruction, against other threads too; a process that ends in any way lets go
/// of it. No file is written. Where the file system knows no locks the folder is not guarded.
class FolderLock {
 public:
  enum class IfHeld { fail, wait };
  /// Throws InvalidInput when the folder is held already and the lock is not to wait, IoError when it cannot be opened.
  explicit FolderLock(const std::filesystem::path& folder, IfHeld if_held = IfHeld::fail);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

 private:
  int file_;
};

}  // namespace gridspot
