// config/app_config.hpp — every setting, its default and its range. What is not here cannot be set.
//
// Order: these defaults < file < environment (SCHEDULER_DATABASE__URL, double underscore between levels; …_FILE reads
// the value from a file) < command line flags. Unknown keys, wrong types and bad values are errors that name the file,
// the line and the key, and say what would be right.
#pragma once

#include "core/time.hpp"
#include "errors/result.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::config {

struct ApiConfig {
  bool enabled = true;
  std::string bind_address = "127.0.0.1:8080";  // host:port; 0.0.0.0 or [::] for every interface; port 0: any free
  // Addresses and networks, separated by commas, whose X-Forwarded-For is believed: "10.0.0.0/8, ::1".
  std::string trusted_proxies;
  int requests_per_second =
      500;  // 0–1000000 of one account, twice as many at once; one address: four times. 0: no limit
};

// For a first start without a person. Once there is an account neither counts.
struct AuthConfig {
  std::string bootstrap_admin_name = "admin";
  std::string bootstrap_admin_password;  // empty: a setup link is printed. Weak ones stop the start, at any time
};

struct DatabaseConfig {
  std::string url;  // "sqlite:PATH" or "postgresql://…"; empty: sqlite:<data_dir>/scheduler.db
  // 0–64. SQLite: readers beside the one writer; PostgreSQL: connections of this process. 0 chooses: 2, or 8.
  int max_connections = 0;
};

struct MessageQueueConfig {
  std::string type = "embedded";     // embedded (in this process), rabbitmq, redis_stream
  std::string url;                   // of the broker (broker_url.hpp); empty where there is none. May hold a password
  std::string prefix = "scheduler";  // 1–64 letters, digits, '.', '_', '-': begins the broker's names for our queues
};

struct DispatcherConfig {
  bool enabled = true;
  std::string strategy = "least_loaded";  // round_robin, least_loaded, task_type_affinity, random, composite
  int worker_timeout_seconds = 30;        // 2–3600; more than two heartbeats
  int priority_aging_seconds = 60;        // 0–86400 of waiting are worth a level of priority; 0: nothing is
};

struct WorkerConfig {
  bool enabled = true;
  std::string worker_id;  // empty: the host's name
  int slots = 16;         // 1–4096 attempts at the same time
  std::vector<std::string> task_types = {"http", "noop", "python", "shell"};
  std::map<std::string, std::string> labels;
  int heartbeat_interval_seconds = 5;  // 1–600
  int drain_timeout_seconds = 30;      // 0–86400: how long a stop waits for running attempts
  int kill_grace_seconds = 5;          // 0–300 between SIGTERM and SIGKILL
};

struct LogConfig {
  std::string level = "info";     // debug, info, warning, error
  std::string format = "pretty";  // pretty, json
};

struct AppConfig {
  ApiConfig api;
  AuthConfig auth;
  DatabaseConfig database;
  MessageQueueConfig message_queue;
  DispatcherConfig dispatcher;
  WorkerConfig worker;
  LogConfig log;
  std::string data_dir = "./data";

  // Reads `path`, then the process environment, then checks everything. Error: Config, all faults, one a line.
  static SchedulerResult<AppConfig> load(const std::string& path);
};

// What load() and the programs are made of. `overrides` are dotted keys from flags: {"log.level", "debug"}.
// `path` empty: no file. `environment`: name -> value of every SCHEDULER_ variable.
[[nodiscard]] SchedulerResult<AppConfig> load_config(const std::string& path,
                                                     const std::map<std::string, std::string>& environment,
                                                     const std::map<std::string, std::string>& overrides);
[[nodiscard]] std::map<std::string, std::string> scheduler_environment();

// What the store is opened with, for settings that passed load_config: "sqlite:PATH" or "postgresql://…".
[[nodiscard]] std::string store_url(const AppConfig& config);
[[nodiscard]] bool is_postgres(std::string_view url);
// user:password@ becomes user:***@, and so do passwords behind the '?': for people's eyes.
[[nodiscard]] std::string without_password(std::string_view url);

// The settings in force as TOML, secrets redacted; and the commented defaults, ready to be edited.
[[nodiscard]] std::string to_toml(const AppConfig& config);
[[nodiscard]] std::string example_toml();

}  // namespace scheduler::config
