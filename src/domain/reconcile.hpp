// domain/reconcile.hpp — a worker's inventory against the store: which messages got lost, which attempts are not
// wanted.
#pragma once

#include "core/ids.hpp"
#include "domain/task_run.hpp"

#include <span>
#include <vector>

namespace scheduler::domain {

// A run that the store gives to this incarnation, dispatched long enough ago that the worker must know it.
struct Expected {
  RunId run;
  Token token = 0;
  bool missing = false;  // it was missing from an earlier inventory
  Reason cancel_reason = Reason::none;
};
// A run that the worker says it has.
struct Held {
  RunId run;
  Token token = 0;
};

struct Unwanted {
  RunId run;
  Token token = 0;
  Reason why = Reason::none;
};

struct Reconciliation {
  std::vector<RunId> missing;       // expected, not held: the work or its report got lost, or is late
  std::vector<RunId> found;         // marked as missing, but held after all
  std::vector<Unwanted> to_cancel;  // held with a cancel mark: the control message got lost
};

// Both sorted by run id.
[[nodiscard]] Reconciliation reconcile(std::span<const Expected> expected, std::span<const Held> held);

}  // namespace scheduler::domain
