#include "io/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "gridspot/error.h"

namespace gridspot {

FolderLock::FolderLock(const std::filesystem::path& folder, IfHeld if_held)
    : file_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (file_ < 0) throw IoError(folder.string() + ": cannot open: " + std::generic_category().message(errno));
  const int operation = if_held == IfHeld::wait ? LOCK_EX : LOCK_EX | LOCK_NB;
  int result = 0;
  do result = ::flock(file_, operation);
  while (result != 0 && errno == EINTR);
  if (result == 0 || errno != EWOULDBLOCK) return;
  ::close(file_);
  throw InvalidInput(folder.string() + " is in use by another process");
}

FolderLock::~FolderLock() { ::close(file_); }

}  // namespace gridspot
