// application/ports/worker_repository.hpp — workers and their incarnations (rules: domain/worker_info.hpp).
#pragma once

#include "application/messages.hpp"
#include "core/async.hpp"
#include "domain/worker_info.hpp"

#include <optional>
#include <vector>

namespace scheduler::application {

struct HeartbeatReply {
  bool dead = false;                         // this incarnation was declared dead; nothing was changed
  bool replaced = false;                     // … because another one registered under its id
  bool registered = false;                   // first heartbeat of the incarnation
  bool draining = false;                     // an operator wants it to take nothing new
  std::vector<IncarnationId> declared_dead;  // earlier incarnations of the same id that it replaced
};

class WorkerRepository {
 public:
  virtual ~WorkerRepository() = default;

  // Registers or refreshes an incarnation; heartbeat_due becomes the store's now + timeout. From its second heartbeat
  // on an incarnation declares the earlier registered ones of its id dead (reason "replaced by a new start"): a first
  // heartbeat alone may be a late message of a process that is gone. A worker that says it is draining is; `leaving`
  // declares it dead itself, reason "left".
  virtual Async<HeartbeatReply> heartbeat(WorkerHeartbeat beat, Seconds timeout) = 0;

  // Declares incarnations whose heartbeat_due has passed dead; returns them.
  virtual Async<std::vector<domain::WorkerInfo>> expire() = 0;
  // Nobody alive is due before the store's now + timeout: after this process could not hear anyone.
  virtual Async<void> extend_deadlines(Seconds timeout) = 0;

  // The newest incarnation of every worker id that was heard of in the last day, by id.
  virtual Async<std::vector<domain::WorkerInfo>> list() = 0;
  virtual Async<domain::WorkerInfo> get(WorkerId id) = 0;  // the newest incarnation; WorkerNotFound
  // alive <-> draining. Conflict for a dead worker; WorkerNotFound. Returns it as it is now.
  virtual Async<domain::WorkerInfo> set_draining(WorkerId id, bool draining) = 0;
};

}  // namespace scheduler::application
