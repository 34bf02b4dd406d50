#include "infrastructure/auth/argon2_hasher.hpp"

#include "infrastructure/auth/sodium_secrets.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sodium.h>

#include <optional>

namespace scheduler::infrastructure {
namespace {

// Runs `job` on `pool`; the caller goes on, on its own loop, with what it returned.
template <class Job, class T = std::invoke_result_t<Job>>
asio::awaitable<T> on_pool(asio::thread_pool& pool, Job job) {
  return asio::async_initiate<decltype(asio::use_awaitable), void(T)>(
      [&pool](auto handler, Job work) {
        auto home = asio::make_work_guard(asio::get_associated_executor(handler));
        asio::post(pool, [handler = std::move(handler), work = std::move(work), home = std::move(home)]() mutable {
          auto result = work();
          const auto executor = home.get_executor();
          asio::post(executor, [handler = std::move(handler), result = std::move(result),
                                home = std::move(home)]() mutable { std::move(handler)(std::move(result)); });
        });
      },
      asio::use_awaitable, std::move(job));
}

// Wiped when it is no longer needed.
class Password {
 public:
  explicit Password(std::string text) : text_(std::move(text)) {}
  Password(Password&& other) noexcept : text_(other.text_) { other.wipe(); }
  Password& operator=(Password&&) = delete;
  ~Password() { wipe(); }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void wipe() { sodium_memzero(text_.data(), text_.size()); }
  std::string text_;
};

}  // namespace

struct Argon2Hasher::Impl {
  explicit Impl(Settings it) : settings(it), pool(it.threads) {}

  template <class Job>
  Async<std::invoke_result_t<Job>> run(Job job) {
    if (busy >= settings.threads + settings.waiting_max)
      co_return fail(ErrorKind::Unavailable, "too many passwords are being checked at this moment; try again shortly");
    ++busy;
    auto result = co_await on_pool(pool, std::move(job));
    --busy;
    co_return result;
  }

  Settings settings;
  std::size_t busy = 0;  // computed or waiting; touched on the caller's loop only
  asio::thread_pool pool;
};

Argon2Hasher::Argon2Hasher(Settings settings) {
  start_sodium();
  impl_ = std::make_unique<Impl>(settings);
}

Argon2Hasher::~Argon2Hasher() {
  impl_->pool.stop();
  impl_->pool.join();
}

Async<std::string> Argon2Hasher::hash(std::string password) {
  CO_TRY(auto hash, impl_->run([it = Password(std::move(password)), settings = impl_->settings] {
    char text[crypto_pwhash_STRBYTES] = {};
    const bool done = crypto_pwhash_str_alg(text, it.text().data(), it.text().size(), settings.passes,
                                            settings.memory_bytes, crypto_pwhash_ALG_ARGON2ID13) == 0;
    return done ? std::string(text) : std::string();
  }));
  if (hash.empty()) co_return fail(ErrorKind::Unavailable, "there is not enough memory to hash a password");
  co_return hash;
}

Async<bool> Argon2Hasher::verify(std::string password, std::string hash) {
  return impl_->run([it = Password(std::move(password)), hash = std::move(hash)] {
    return crypto_pwhash_str_verify(hash.c_str(), it.text().data(), it.text().size()) == 0;
  });
}

}  // namespace scheduler::infrastructure
