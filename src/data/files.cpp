#include "data/files.h"

#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>

#include "gridspot/error.h"

namespace gridspot {

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  const bool opened = file.is_open();
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file)
    throw IoError(path.string() + ": cannot " + (opened ? "write: " : "create: ") +
                  std::generic_category().message(errno));
}

}  // namespace gridspot
