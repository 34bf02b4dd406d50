#include "domain/reconcile.hpp"

#include <algorithm>
#include <cassert>

namespace scheduler::domain {

Reconciliation reconcile(std::span<const Expected> expected, std::span<const Held> held) {
  assert(std::ranges::is_sorted(expected, {}, &Expected::run));  // the caller reads them in this order
  assert(std::ranges::is_sorted(held, {}, &Held::run));
  Reconciliation result;
  auto mine = held.begin();
  for (const auto& it : expected) {
    while (mine != held.end() && mine->run < it.run) ++mine;
    const bool holds = mine != held.end() && mine->run == it.run && mine->token == it.token;
    if (!holds && !it.missing) result.missing.push_back(it.run);
    if (holds && it.missing) result.found.push_back(it.run);
    if (holds && it.cancel_reason != Reason::none) result.to_cancel.push_back({it.run, it.token, it.cancel_reason});
  }
  return result;
}

}  // namespace scheduler::domain
