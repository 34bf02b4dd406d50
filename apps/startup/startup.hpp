// apps/startup/startup.hpp — from flags to a running program: load the settings, build the adapters, hand them to the
// rooms, wait for the stop signal. The only place that names concrete adapters.
#pragma once

#include "config/app_config.hpp"
#include "core/enum_names.hpp"

#include <optional>
#include <string_view>

namespace scheduler {

// Which parts this process is made of.
enum class AppMode { all, api, dispatcher, worker };
constexpr auto enum_names(AppMode) { return std::to_array<std::string_view>({"all", "api", "dispatcher", "worker"}); }

struct StartupConfig {
  config::AppConfig settings;
  AppMode mode = AppMode::all;
};

// Runs until SIGINT or SIGTERM, then drains: no new requests, no new work, running attempts may end within
// worker.drain_timeout_seconds. A second signal stops them at once and gives up reports that the queue does not take, a
// third ends the process.
// Returns the exit code: 0 after an orderly stop, 1 when it could not start; the reason is on standard error.
int start_application(const config::AppConfig& settings, AppMode mode, std::string_view name);

// The whole of main(): flags --config, --data-dir, --log-level, --log-format, --worker-id, --bind, --version, and
// --mode where `fixed` is nothing. Exit code 2 for wrong flags.
int run_program(int argc, const char* const* argv, std::string_view name, std::optional<AppMode> fixed);

}  // namespace scheduler
