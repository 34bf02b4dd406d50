// A connection: whatever a client sends, each of its requests is answered with one whole reply that says what it is,
// never with a fault of ours, and the connection ends. The session is the real one, over a pair of sockets; services
// are fakes.
#include "api/fakes.hpp"
#include "api/http_session.hpp"
#include "fuzz/fuzz.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace scheduler::fuzz {
namespace {

namespace json = boost::json;

constexpr std::size_t kBytesMax = 32 << 10;  // fits the socket: the client never waits

// The client's end.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { ::close(fd_); }

  void send(std::string_view bytes) const {
    MUST(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()), "the input fits");
    ::shutdown(fd_, SHUT_WR);
  }
  // True when something came.
  bool receive() {
    char buffer[64 << 10];
    const auto n = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n > 0) received_.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
  }
  [[nodiscard]] std::string_view received() const { return received_; }

 private:
  int fd_;
  std::string received_;
};

asio::awaitable<void> serve_and_tell(std::shared_ptr<api::ServerState> server, api::tcp::socket socket, bool& over) {
  co_await api::serve(std::move(server), std::move(socket));
  over = true;
}

// Everything that was said until the connection ended; `whole`: nobody had to cut it short.
std::string talk(std::string_view bytes, bool& whole) {
  int ends[2];
  MUST(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
  Peer peer(ends[0]);
  api::FakeWorld world;
  asio::io_context io{1};
  const auto server =
      std::make_shared<api::ServerState>(io, api::Context{.services = world.services(), .started_at = api::kNow});
  bool over = false;
  spawn(io, "session", serve_and_tell(server, api::tcp::socket(io, api::tcp::v4(), ends[1]), over));
  peer.send(bytes);
  const auto run = [&] {
    io.restart();
    while (io.poll() > 0 || peer.receive()) io.restart();
  };
  run();
  whole = over;
  // Some wait for news of a run, or follow its output: as when the server stops.
  for (int i = 0; i < 100 && !over; ++i) {
    server->stopping = true;
    for (auto* it : server->connections) it->stop();
    world.runs.wake();
    run();
  }
  for (auto* it : server->connections) it->abort();
  run();
  MUST(over, bytes);
  while (peer.receive()) {
  }
  return std::string(peer.received());
}

// Every other input comes from somebody who has signed in: behind the first lines that could be requests stands the
// proof.
std::string signed_in(std::string_view bytes) {
  constexpr std::string_view kEnd = " HTTP/1.1\r\n";
  if (bytes.size() % 2 == 0) return std::string(bytes);
  std::string all;
  int proofs = 0;
  for (auto at = bytes.find(kEnd); at != bytes.npos && proofs < 8; at = bytes.find(kEnd), ++proofs) {
    all += bytes.substr(0, at + kEnd.size());
    all += "Authorization: Bearer " + api::admin_token() + "\r\n";
    bytes.remove_prefix(at + kEnd.size());
  }
  return all += bytes;
}

struct Head {
  int status = 0;
  std::optional<std::size_t> length;
  bool chunked = false;
  std::string_view type;
};

std::string_view take_line(std::string_view& from) {
  const auto end = from.find("\r\n");
  MUST(end != from.npos, from);
  const auto line = from.substr(0, end);
  from.remove_prefix(end + 2);
  return line;
}

std::size_t number(std::string_view text, int base) {
  std::size_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  MUST(fault == std::errc{} && end == text.data() + text.size(), text);
  return value;
}

Head take_head(std::string_view& from) {
  Head head;
  const auto first = take_line(from);
  MUST(first.starts_with("HTTP/1.1 ") && first.size() > 13, first);
  head.status = static_cast<int>(number(first.substr(9, 3), 10));
  for (auto line = take_line(from); !line.empty(); line = take_line(from)) {
    const auto colon = line.find(": ");
    MUST(colon != line.npos && colon > 0, line);
    MUST(std::ranges::none_of(line, [](char c) { return static_cast<unsigned char>(c) < ' '; }), line);
    const auto name = line.substr(0, colon), value = line.substr(colon + 2);
    if (name == "Content-Length") head.length = number(value, 10);
    if (name == "Transfer-Encoding") head.chunked = value == "chunked";
    if (name == "Content-Type") head.type = value;
  }
  return head;
}

void check_json(const Head& head, std::string_view body) {
  boost::system::error_code no_json;
  const auto value = json::parse({body.data(), body.size()}, no_json);
  MUST(!no_json, body);
  const auto* object = value.if_object();
  MUST(object && object->contains("success") == (head.type != "application/json" || object->contains("data")), body);
  if (head.status >= 400) MUST(object->at("error").at("code").as_string().size() > 0, body);
}

// One reply, whole. HEAD has a length and no body, so what follows is the next reply or the end.
void take_reply(std::string_view& from) {
  const auto head = take_head(from);
  if (head.status == 100) return;
  MUST(head.status >= 200 && head.status <= 599 && head.status != 500, std::to_string(head.status));
  if (head.chunked) {
    for (;;) {
      const auto size = number(take_line(from), 16);
      MUST(from.size() >= size + 2, from);
      from.remove_prefix(size);
      MUST(from.starts_with("\r\n"), from);
      from.remove_prefix(2);
      if (size == 0) return;
    }
  }
  if (!head.length) return;
  if (from.size() < *head.length || from.starts_with("HTTP/1.1 ")) return;
  const auto body = from.substr(0, *head.length);
  from.remove_prefix(*head.length);
  if (head.type.contains("json") && !body.empty()) check_json(head, body);
}

}  // namespace
}  // namespace scheduler::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace scheduler::fuzz;
  if (size > kBytesMax) return 0;
  bool whole = false;
  const auto said = talk(signed_in(as_text(data, size)), whole);
  std::string_view rest = said;
  while (whole && !rest.empty()) take_reply(rest);
  return 0;
}
