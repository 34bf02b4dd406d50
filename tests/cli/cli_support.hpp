// tests/cli/cli_support.hpp — the whole program in this process, against a small HTTP server with canned replies.
#pragma once

#include "cli/cli.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace scheduler::cli {

struct Reply {
  int status = 200;
  std::string body;
  std::string type = "application/json";
  bool broken = false;  // the connection ends before the body is complete
};

struct Seen {
  std::string method, target, body;
  std::map<std::string, std::string> headers;  // names in lower case
  [[nodiscard]] std::string line() const { return method + " " + target; }
};

// Answers on 127.0.0.1, one connection after the other.
class FakeServer {
 public:
  FakeServer();
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  // The next reply to "GET /api/tasks"; the last one is given again and again.
  void on(const std::string& request_line, Reply reply);
  // The same, wrapped as the API wraps its data.
  void data(const std::string& request_line, const std::string& json, int status = 200);
  [[nodiscard]] std::string url() const;
  [[nodiscard]] std::vector<Seen> seen() const;
  // "GET /a, POST /b"
  [[nodiscard]] std::string lines() const;

 private:
  void serve();
  Reply reply_to(const Seen& request);

  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<Reply>> replies_;
  std::vector<Seen> seen_;
  std::thread thread_;
};

struct Ran {
  int exit = -1;
  std::string out, err;
};

struct World {
  std::map<std::string, std::string> environment = {};
  std::string in = {};
  application::OpenSchemaAdmin open_schema = {};
  bool terminal = false;
  TimePoint now = *parse_rfc3339("2026-03-28T12:00:00.5Z");
  Micros step{0};  // how far the process's clock moves at each look
};

// scheduler-cli `words`, with SCHEDULER_API_URL set to `server` where there is one.
Ran run_cli_with(const FakeServer* server, const std::vector<std::string>& words, World world = {});
inline Ran run_cli_on(const FakeServer& server, const std::vector<std::string>& words, World world = {}) {
  return run_cli_with(&server, words, std::move(world));
}
inline Ran run_cli_alone(const std::vector<std::string>& words, World world = {}) {
  return run_cli_with(nullptr, words, std::move(world));
}

// A URL on this machine where nobody listens.
std::string dead_url();

}  // namespace scheduler::cli
