// infrastructure/rabbitmq/rabbit_thread.hpp — one connection to RabbitMQ and the thread that it lives on.
//
// librabbitmq blocks: while it connects, asks, and while the broker does not read. So nothing of it happens on the loop
// of the program. A command runs on the thread; while there is no connection it runs too, and says so to whoever asked.
//
// After a loss the thread connects again by itself, with pauses that grow.
#pragma once

#include "config/broker_url.hpp"
#include "core/time.hpp"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

struct amqp_connection_state_t_;
struct amqp_frame_t_;

namespace scheduler::infrastructure {

class RabbitThread {
 public:
  struct Settings {
    std::string host = "127.0.0.1";
    int port = 5672;
    std::string user = "guest", password = "guest", vhost = "/";
    std::string name = "scheduler";  // as the broker lists the connection
    Micros deadline = std::chrono::seconds{5};
    Micros pause_min = std::chrono::milliseconds{100}, pause_max = std::chrono::seconds{1};

    [[nodiscard]] static Settings of(const config::BrokerUrl& url);
  };
  using Command = std::move_only_function<void()>;
  using Channel = std::uint16_t;

  virtual ~RabbitThread();
  RabbitThread(const RabbitThread&) = delete;
  RabbitThread& operator=(const RabbitThread&) = delete;

  // From any thread: whether the last connection or request ended because the broker does not let us in. It knows user,
  // password, vhost or permissions differently, and will say the same again.
  [[nodiscard]] bool is_refused() const { return refused_; }

  // From any thread. Commands run one after the other, in this order.
  void post(Command command);

 protected:
  explicit RabbitThread(Settings settings);
  // The most derived constructor and destructor call these: the thread uses the virtual functions below.
  void start();
  void stop();

  // --- on the thread ---

  // A new connection without channels; an error drops it again.
  virtual SchedulerResult<void> connected() = 0;
  virtual void on_frame(const amqp_frame_t_& frame) = 0;
  // After every round of commands and frames.
  virtual void turn() {}
  // The connection is gone, and everything that belonged to it.
  virtual void lost(const SchedulerError& why) = 0;

  [[nodiscard]] bool is_up() const { return link_ != nullptr && why_drop_.empty(); }
  [[nodiscard]] const SchedulerError& why_down() const { return why_down_; }
  [[nodiscard]] amqp_connection_state_t_* link() const { return link_; }
  // Gives the connection up when the current step is done.
  void drop(std::string why);
  // What the last request on `channel` ended with. NotFound and MessageQueue: refused, and the broker has closed the
  // channel. Unavailable: the connection is being dropped.
  SchedulerResult<void> check_reply(Channel channel);
  SchedulerResult<void> open_channel(Channel channel);
  // Confirms that the broker closed the channel, and says why it did.
  SchedulerError take_channel_close(Channel channel, const void* method);
  [[nodiscard]] std::string at(std::string_view what) const;  // "RabbitMQ at HOST:PORT: …"
  // The status of a call that has no reply.
  bool sent(int status);

 private:
  void run();
  void connect();
  SchedulerResult<void> open();
  void serve();
  void disconnect();
  void run_commands();
  bool read_frames();
  void wait(Micros most);
  void set_socket(int fd);

  const Settings settings_;
  int wake_ = -1;  // an eventfd
  std::mutex mutex_;
  std::vector<Command> commands_;  // guarded by mutex_
  int socket_ = -1;                // guarded by mutex_, so that stop() shuts down nobody else's
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> refused_ = false;
  amqp_connection_state_t_* link_ = nullptr;
  std::string why_drop_;
  SchedulerError why_down_;
  Micros pause_;
  bool was_away_ = false;
  bool ended_ = false;  // guarded by mutex_
  std::condition_variable end_;
  std::thread thread_;
};

}  // namespace scheduler::infrastructure
