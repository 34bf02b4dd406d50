// What every test of an executor needs: a loop, real time, a sink that remembers, and a look at what was left behind.
#pragma once

#include "application/ports/task_executor.hpp"
#include "core/clock.hpp"
#include "core/timer.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <gtest/gtest.h>

#include <dirent.h>
#include <fstream>
#include <iterator>
#include <signal.h>

namespace scheduler::executor_test {

using namespace std::chrono_literals;

class RealClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::time_point_cast<Micros>(std::chrono::system_clock::now()); }
  Micros elapsed() const override {
    return std::chrono::duration_cast<Micros>(std::chrono::steady_clock::now().time_since_epoch());
  }
};

class RealTimer final : public Timer {
 public:
  explicit RealTimer(asio::io_context& io) : io_(io) {}
  asio::awaitable<void> sleep(Micros duration) override {
    asio::steady_timer timer(io_, duration);
    co_await timer.async_wait(asio::as_tuple(asio::deferred));
  }
  std::unique_ptr<WakeSignal> wake_signal() override { return std::make_unique<Wake>(io_); }

 private:
  class Wake final : public WakeSignal {
   public:
    explicit Wake(asio::io_context& io) : timer_(io) {}
    void notify() override {
      notified_ = true;
      timer_.cancel();
    }
    asio::awaitable<void> wait(Micros max) override {
      if (!notified_) {
        timer_.expires_after(max);
        co_await timer_.async_wait(asio::as_tuple(asio::deferred));
      }
      notified_ = false;
    }

   private:
    asio::steady_timer timer_;
    bool notified_ = false;
  };
  asio::io_context& io_;
};

// Keeps the first mebibyte of each stream and counts the rest; `on_write` lets a test act on what came.
class MemorySink final : public application::OutputSink {
 public:
  void write(application::Stream stream, std::string_view bytes) override {
    auto& text = stream == application::Stream::out ? out : err;
    text.append(bytes.substr(0, (1 << 20) - std::min<std::size_t>(text.size(), 1 << 20)));
    total += bytes.size();
    if (on_write) on_write(*this);
  }
  std::string out, err;
  std::size_t total = 0;
  std::function<void(MemorySink&)> on_write;
};

inline std::vector<std::string> names_in(const char* path) {
  std::vector<std::string> names;
  DIR* directory = ::opendir(path);
  while (const auto* entry = directory != nullptr ? ::readdir(directory) : nullptr)
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  if (directory != nullptr) ::closedir(directory);
  return names;
}

inline std::size_t open_descriptors() { return names_in("/proc/self/fd").size(); }

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// 'R', 'S', …, 'Z' for one that ended and was not reaped, 0 for none.
inline char state_of(pid_t pid) {
  const auto stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  const auto at = stat.rfind(") ");
  return at == std::string::npos ? '\0' : stat[at + 2];
}
inline bool is_alive(pid_t pid) {
  const char state = state_of(pid);
  return state != '\0' && state != 'Z';
}

// Children of this process, ended ones included.
inline int children() {
  int n = 0;
  for (const auto& task : names_in("/proc/self/task")) {
    std::ifstream list("/proc/self/task/" + task + "/children");
    for (int pid; list >> pid;) ++n;
  }
  return n;
}

class ExecutorTest : public testing::Test {
 public:
  domain::Outcome run(application::TaskExecutor& executor, std::string parameters) {
    execution.parameters = std::move(parameters);
    domain::Outcome outcome;
    spawn(io, "test", drive(executor, execution, sink, stop, outcome));
    io.run();
    io.restart();
    return outcome;
  }

  // Requests a stop as soon as the output holds `text`.
  void stop_at(std::string text, StopReason why = StopReason::cancelled) {
    sink.on_write = [this, text = std::move(text), why](MemorySink& it) {
      if (it.out.find(text) != std::string::npos) stop.request(why);
    };
  }

  asio::io_context io{1};
  RealClock clock;
  RealTimer timer{io};
  MemorySink sink;
  StopSignal stop;
  application::TaskExecution execution{.run = {41}, .task = {7}, .task_name = "tidy ü", .attempt = 2, .token = 9};

 private:
  static asio::awaitable<void> drive(application::TaskExecutor& executor, const application::TaskExecution& execution,
                                     application::OutputSink& sink, StopSignal& stop, domain::Outcome& outcome) {
    outcome = co_await executor.execute(execution, sink, stop);
  }
};

}  // namespace scheduler::executor_test
