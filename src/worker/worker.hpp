// worker/worker.hpp — a worker: one incarnation after another, until it is told to stop.
#pragma once

#include "worker/life.hpp"

#include <memory>

namespace scheduler::worker {

class Worker {
 public:
  enum class End {
    stopped,   // by stop()
    replaced,  // another process registered under the same worker id; two of them cannot both be it
  };

  // Everything in `ports` outlives the worker.
  Worker(asio::io_context& io, Ports ports, Settings settings);

  asio::awaitable<End> run();
  // Drains and leaves; run() returns when that is done. May be called more than once, and before run().
  void stop();
  // The same, but running attempts are stopped at once.
  void stop_now();

 private:
  [[nodiscard]] IncarnationId new_incarnation();

  asio::io_context& io_;
  Ports ports_;
  Settings settings_;
  std::unique_ptr<Life> life_;
  bool stopping_ = false;
};

}  // namespace scheduler::worker
