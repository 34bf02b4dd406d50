#include "support/services.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>

namespace scheduler::testing_support {

std::optional<std::string> service_url(std::string_view name) {
  const auto variable = fmt::format("SCHEDULER_TEST_{}_URL", name);
  if (const char* value = std::getenv(variable.c_str())) return value;
  std::ifstream file(SCHEDULER_SERVICES_ENV_FILE);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(variable + "=")) return line.substr(variable.size() + 1);
  return std::nullopt;
}

}  // namespace scheduler::testing_support
