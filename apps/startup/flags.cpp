// The flags of the four services. CLI11 stays in this file.
#include "core/version.hpp"
#include "startup/startup.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <map>
#include <string>

namespace scheduler {

int run_program(int argc, const char* const* argv, std::string_view name, std::optional<AppMode> fixed) {
  CLI::App app("Distributed task scheduler.", std::string(name));
  app.set_version_flag("--version", std::string(name) + " " + kVersion);
  std::string config_path;
  std::map<std::string, std::string> overrides;
  app.add_option("--config", config_path, "TOML file with settings; none is needed")->envname("SCHEDULER_CONFIG");
  const auto setting = [&](const char* flag, const char* key, const char* help) {
    app.add_option_function<std::string>(
        flag, [&overrides, key](const std::string& value) { overrides[key] = value; }, help);
  };
  setting("--data-dir", "data_dir", "where the database lives (default ./data)");
  setting("--bind", "api.bind_address", "HOST:PORT of the REST API (default 127.0.0.1:8080)");
  setting("--log-level", "log.level", "debug, info, warning or error");
  setting("--log-format", "log.format", "pretty or json");
  setting("--worker-id", "worker.worker_id", "name of this worker (default: the host's name)");
  std::string mode_text = "all";
  if (!fixed) app.add_option("--mode", mode_text, "all, api, dispatcher or worker");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const bool asked = e.get_exit_code() == 0;  // --help, --version
    (void)app.exit(e);
    return asked ? 0 : 2;
  }
  const auto mode = fixed ? fixed : parse_enum<AppMode>(mode_text);
  if (!mode) {
    std::fprintf(stderr, "--mode '%s' is not known; it is %s\n", mode_text.c_str(), known_names<AppMode>().c_str());
    return 2;
  }
  const auto settings = config::load_config(config_path, config::scheduler_environment(), overrides);
  if (!settings) {
    std::fprintf(stderr, "%s: cannot start, the settings are not right:\n%s\n", std::string(name).c_str(),
                 settings.error().message.c_str());
    return 1;
  }
  return start_application(*settings, *mode, name);
}

}  // namespace scheduler
