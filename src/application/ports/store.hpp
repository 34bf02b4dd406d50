// application/ports/store.hpp — the truth: one store, seen through the repositories that the use cases need.
#pragma once

#include "application/ports/account_store.hpp"
#include "application/ports/dispatch_repository.hpp"
#include "application/ports/run_repository.hpp"
#include "application/ports/slot_repository.hpp"
#include "application/ports/task_repository.hpp"
#include "application/ports/worker_repository.hpp"
#include "core/circuit.hpp"

#include <map>
#include <optional>
#include <string>

namespace scheduler::application {

struct StoreStats {
  std::int64_t tasks_active = 0, tasks_paused = 0;
  std::map<std::string, std::int64_t> active_runs;  // waiting, pending, dispatched, running: counts, zeros included
  std::optional<TimePoint> oldest_due;              // due_at of the longest due pending run
};

// A dispatcher says every few seconds that it is there, for as long as it may be silent.
struct DispatchersSeen {
  int alive = 0;                       // silent for less than they said
  std::optional<TimePoint> last_seen;  // of any of them, the living included; nothing: none is remembered
};

class Store {
 public:
  virtual ~Store() = default;
  virtual TaskRepository& tasks() = 0;
  virtual SlotRepository& slots() = 0;
  virtual DispatchRepository& dispatch() = 0;
  virtual RunRepository& runs() = 0;
  virtual RunLogRepository& logs() = 0;
  virtual WorkerRepository& workers() = 0;
  virtual AccountStore& accounts() = 0;

  [[nodiscard]] virtual Async<TimePoint> now() = 0;  // the clock that decides shared instants
  [[nodiscard]] virtual Async<StoreStats> stats() = 0;
  [[nodiscard]] virtual Async<void> check_writable() = 0;  // a real, durable write
  // The dispatcher of this life is there, and will say so again within `silence`; zero: it is leaving.
  [[nodiscard]] virtual Async<void> note_dispatcher(IncarnationId life, Seconds silence) = 0;
  [[nodiscard]] virtual Async<DispatchersSeen> dispatchers() = 0;
  // How it stands with the way to the server; nothing: there is none, the database is a file. Unless it is closed,
  // every call fails at once.
  [[nodiscard]] virtual std::optional<Circuit::Report> circuit() const { return std::nullopt; }
  [[nodiscard]] virtual std::string describe() const = 0;  // "SQLite 3.40.1, ./data/scheduler.db": no secrets
};

}  // namespace scheduler::application
