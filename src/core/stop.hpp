// core/stop.hpp — asking something to stop, with the reason. Single-threaded: used only on the owning loop.
#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace scheduler {

enum class StopReason { cancelled, replaced, timeout, shutdown, superseded };

// The first request counts; later ones change nothing. Callbacks run once, inside request(), or at once when the
// request has been made already. The signal must outlive whoever registered; a callback must not throw.
class StopSignal {
 public:
  void request(StopReason why) {
    if (reason_) return;
    reason_ = why;
    for (auto& callback : std::exchange(callbacks_, {})) callback();
  }
  void on_request(std::function<void()> callback) {
    if (reason_)
      callback();
    else
      callbacks_.push_back(std::move(callback));
  }
  [[nodiscard]] bool requested() const { return reason_.has_value(); }
  [[nodiscard]] std::optional<StopReason> reason() const { return reason_; }

 private:
  std::optional<StopReason> reason_;
  std::vector<std::function<void()>> callbacks_;
};

}  // namespace scheduler
