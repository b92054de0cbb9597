#include "data/download.h"

namespace gridspot {

Download download(const std::string&, const DownloadLimits&, const DownloadCallback&) {
  return {{}, "this gridspot was built without libcurl"};
}

}  // namespace gridspot
