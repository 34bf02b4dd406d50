// benches/child_process.hpp — a program of this project, or a peer, beside the benchmark.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <signal.h>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace scheduler {

// Runs from here to the end of its scope, then is asked to stop and waited for.
class ChildProcess {
 public:
  // `settings` are added to our environment: "NAME=value".
  explicit ChildProcess(std::vector<std::string> command, std::vector<std::string> settings = {}) {
    std::vector<char*> argv, environment;
    for (auto& it : command) argv.push_back(it.data());
    for (auto& it : settings) environment.push_back(it.data());
    for (char** it = environ; *it != nullptr; ++it) environment.push_back(*it);
    argv.push_back(nullptr);
    environment.push_back(nullptr);
    if (::posix_spawnp(&pid_, argv[0], nullptr, nullptr, argv.data(), environment.data()) == 0) return;
    std::fprintf(stderr, "benchmark: cannot start %s\n", argv[0]);
    std::exit(1);
  }
  ~ChildProcess() {
    ::kill(pid_, SIGTERM);
    (void)wait();
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  int wait() const {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return status;
  }

  pid_t pid_ = 0;
};

}  // namespace scheduler
