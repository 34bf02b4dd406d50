#include "infrastructure/embedded_message_queue.hpp"

#include "contract/message_queue_contract.hpp"
#include "support/fake_timer.hpp"

using namespace scheduler;
using contract::MessageQueueContract;
using contract::QueueUnderTest;

namespace {

class Embedded final : public QueueUnderTest {
 public:
  ~Embedded() override { timer_.abandon(); }
  [[nodiscard]] application::MessageQueue& queue() override { return queue_; }
  [[nodiscard]] asio::io_context& io() override { return io_; }
  void pass(Micros time) override { timer_.advance(time); }

 private:
  asio::io_context io_{1};
  testing_support::FakeClock clock_;
  testing_support::FakeTimer timer_{io_, clock_};
  infrastructure::EmbeddedMessageQueue queue_{timer_, contract::kDepthMax};
};

std::unique_ptr<QueueUnderTest> make_embedded() { return std::make_unique<Embedded>(); }

}  // namespace

namespace scheduler::contract {
INSTANTIATE_TEST_SUITE_P(Embedded, MessageQueueContract, ::testing::Values(&make_embedded));
}  // namespace scheduler::contract
