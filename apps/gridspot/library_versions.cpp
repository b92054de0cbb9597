#include "apps/gridspot/library_versions.h"

#if GRIDSPOT_WITH_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif
#if GRIDSPOT_WITH_CUDA
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>
#endif

namespace gridspot::app {

namespace {
/// CUDA counts 13.0.2 as 13002 (major 1000, minor 10), cuDNN 9.19.1 as 91901 (major 10000, minor 100).
[[maybe_unused]] std::string version_text(std::size_t version, std::size_t major, std::size_t minor) {
  return std::to_string(version / major) + "." + std::to_string(version % major / minor) + "." +
         std::to_string(version % minor);
}
}  // namespace

std::vector<std::pair<std::string, std::string>> library_versions() {
  std::vector<std::pair<std::string, std::string>> versions;
#if GRIDSPOT_WITH_ONEDNN
  const dnnl_version_t& onednn = *dnnl_version();
  versions.emplace_back(
      "oneDNN", std::to_string(onednn.major) + "." + std::to_string(onednn.minor) + "." + std::to_string(onednn.patch));
#endif
#if GRIDSPOT_WITH_CUDA
  int runtime = 0, driver = 0;
  if (cudaRuntimeGetVersion(&runtime) == cudaSuccess)
    versions.emplace_back("CUDA runtime", version_text(static_cast<std::size_t>(runtime), 1000, 10));
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0)
    versions.emplace_back("CUDA of the driver", version_text(static_cast<std::size_t>(driver), 1000, 10));
  versions.emplace_back("cuDNN", version_text(cudnnGetVersion(), 10000, 100));
  versions.emplace_back("cuBLASLt", version_text(cublasLtGetVersion(), 10000, 100));
#endif
  return versions;
}

}  // namespace gridspot::app
