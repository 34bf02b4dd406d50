// support/intercepted_store.hpp — a store whose every call passes through the hands of a test.
#pragma once

#include "application/ports/store.hpp"

#include <memory>

namespace scheduler::testing_support {

// Around each call. An error instead of nothing is what the caller gets: before() keeps the call from being made,
// after() takes its answer away.
class StoreInterceptor {
 public:
  virtual ~StoreInterceptor() = default;
  virtual Async<void> before(std::string_view call) = 0;
  virtual Async<void> after(std::string_view call) = 0;
};

// `real` and `interceptor` outlive it.
[[nodiscard]] std::unique_ptr<application::Store> intercepted_store(application::Store& real,
                                                                    StoreInterceptor& interceptor);

}  // namespace scheduler::testing_support
