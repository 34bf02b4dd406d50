// errors/result.hpp — a value or a SchedulerError, and the macros that pass the error on.
//
//   TRY(auto task, parse(text));           the value, or return the error       (plain functions)
//   CHECK(store(task));                    the same for SchedulerResult<void>
//   CO_TRY(auto task, repository.get(7));  co_await, then the value, or co_return the error
//   CO_CHECK(repository.touch(7));         the same for void
//   CO_UNWRAP(auto task, parse(text));     inside a coroutine, of a plain function: no co_await
//   CO_ENSURE(check(text));                the same for void
//
// They are declarations, not expressions: statement expressions with co_await are not portable.
#pragma once

#include "errors/error.hpp"

#include <expected>
#include <utility>

namespace scheduler {

template <class T>
using SchedulerResult = std::expected<T, SchedulerError>;

[[nodiscard]] inline std::unexpected<SchedulerError> fail(ErrorKind kind, std::string message,
                                                          std::vector<FieldError> fields = {}) {
  return std::unexpected(SchedulerError{kind, std::move(message), std::move(fields)});
}

}  // namespace scheduler

#define SCHEDULER_CAT2(a, b) a##b
#define SCHEDULER_CAT(a, b) SCHEDULER_CAT2(a, b)
#define SCHEDULER_TRY(ret, tmp, decl, ...)       \
  auto tmp = (__VA_ARGS__);                      \
  if (!tmp) [[unlikely]]                         \
    ret std::unexpected(std::move(tmp).error()); \
  decl = *std::move(tmp)

#define TRY(decl, ...) SCHEDULER_TRY(return, SCHEDULER_CAT(try_, __COUNTER__), decl, __VA_ARGS__)
#define CO_TRY(decl, ...) SCHEDULER_TRY(co_return, SCHEDULER_CAT(try_, __COUNTER__), decl, co_await __VA_ARGS__)
#define CHECK(...)                                       \
  do {                                                   \
    auto check_ = (__VA_ARGS__);                         \
    if (!check_) [[unlikely]]                            \
      return std::unexpected(std::move(check_).error()); \
  } while (0)
#define CO_UNWRAP(decl, ...) SCHEDULER_TRY(co_return, SCHEDULER_CAT(try_, __COUNTER__), decl, __VA_ARGS__)
#define CO_ENSURE(...)                                      \
  do {                                                      \
    auto check_ = (__VA_ARGS__);                            \
    if (!check_) [[unlikely]]                               \
      co_return std::unexpected(std::move(check_).error()); \
  } while (0)
#define CO_CHECK(...)                                       \
  do {                                                      \
    auto check_ = co_await __VA_ARGS__;                     \
    if (!check_) [[unlikely]]                               \
      co_return std::unexpected(std::move(check_).error()); \
  } while (0)
