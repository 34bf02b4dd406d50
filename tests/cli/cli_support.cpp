#include "cli/cli_support.hpp"

#include "infrastructure/system_time_zones.hpp"

#include <fmt/format.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sstream>
#include <sys/socket.h>
#include <unistd.h>

namespace scheduler::cli {
namespace {

int listen_anywhere(int& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  ::listen(fd, 16);
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return fd;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Everything up to the end of the body; the line is empty when the peer went away.
Seen read_request(int fd) {
  std::string text;
  char buffer[4096];
  const auto more = [&] {
    const auto n = ::read(fd, buffer, sizeof buffer);
    if (n > 0) text.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
  };
  while (!text.contains("\r\n\r\n"))
    if (!more()) return {};
  Seen request;
  const auto head_end = text.find("\r\n\r\n") + 4;
  std::istringstream head(text.substr(0, head_end));
  std::string line;
  head >> request.method >> request.target;
  std::getline(head, line);
  while (std::getline(head, line) && line != "\r") {
    const auto colon = line.find(':');
    if (colon != line.npos && colon + 2 <= line.size() - 1)
      request.headers[lower(line.substr(0, colon))] = line.substr(colon + 2, line.size() - colon - 3);
  }
  const auto length = request.headers.contains("content-length") ? std::stoul(request.headers["content-length"]) : 0;
  while (text.size() < head_end + length)
    if (!more()) return {};
  request.body = text.substr(head_end, length);
  return request;
}

void send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

class SteppingClock final : public Clock {
 public:
  SteppingClock(TimePoint now, Micros step) : now_(now), step_(step) {}
  TimePoint now() const override { return now_ + elapsed_; }
  Micros elapsed() const override { return elapsed_ += step_; }

 private:
  TimePoint now_;
  Micros step_;
  mutable Micros elapsed_{0};
};

}  // namespace

FakeServer::FakeServer() {
  listener_ = listen_anywhere(port_);
  thread_ = std::thread([this] { serve(); });
}

FakeServer::~FakeServer() {
  stopping_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  thread_.join();
  ::close(listener_);
}

void FakeServer::on(const std::string& request_line, Reply reply) {
  const std::scoped_lock lock(mutex_);
  replies_[request_line].push_back(std::move(reply));
}

void FakeServer::data(const std::string& request_line, const std::string& json, int status) {
  on(request_line, {.status = status,
                    .body = fmt::format(R"({{"success":true,"data":{},"timestamp":"2026-03-28T12:00:00Z"}})", json)});
}

std::string FakeServer::url() const { return fmt::format("http://127.0.0.1:{}", port_); }

std::vector<Seen> FakeServer::seen() const {
  const std::scoped_lock lock(mutex_);
  return seen_;
}

std::string FakeServer::lines() const {
  std::string all;
  for (const auto& request : seen()) all += (all.empty() ? "" : ", ") + request.line();
  return all;
}

Reply FakeServer::reply_to(const Seen& request) {
  const std::scoped_lock lock(mutex_);
  seen_.push_back(request);
  const auto it = replies_.find(request.line());
  if (it == replies_.end())
    return {.status = 404,
            .body = R"({"success":false,"error":{"code":"NOT_FOUND","message":"no canned reply","details":[]}})"};
  auto reply = it->second.front();
  if (it->second.size() > 1) it->second.erase(it->second.begin());
  return reply;
}

void FakeServer::serve() {
  while (!stopping_) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    if (const auto request = read_request(fd); !request.method.empty()) {
      const auto reply = reply_to(request);
      const auto length = reply.body.size() + (reply.broken ? 1 : 0);
      send_all(fd,
               fmt::format("HTTP/1.1 {} Some\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                           reply.status, reply.type, length));
      send_all(fd, reply.body);
    }
    ::close(fd);
  }
}

Ran run_cli_with(const FakeServer* server, const std::vector<std::string>& words, World world) {
  static const infrastructure::SystemTimeZones kZones;
  std::vector<const char*> argv{"scheduler-cli"};
  for (const auto& word : words) argv.push_back(word.c_str());
  if (server) world.environment.try_emplace("SCHEDULER_API_URL", server->url());
  const SteppingClock clock(world.now, world.step);
  std::istringstream in(world.in);
  std::ostringstream out, err;
  Ran ran;
  ran.exit = run_cli(static_cast<int>(argv.size()), argv.data(),
                     {.zones = kZones,
                      .clock = clock,
                      .in = in,
                      .out = out,
                      .err = err,
                      .version = "1.2.3",
                      .open_schema = world.open_schema,
                      .environment = world.environment,
                      .out_is_terminal = world.terminal,
                      .err_is_terminal = world.terminal,
                      .sleep = [](Millis) {}});
  ran.out = out.str();
  ran.err = err.str();
  return ran;
}

std::string dead_url() {
  int port = 0;
  ::close(listen_anywhere(port));
  return fmt::format("http://127.0.0.1:{}", port);
}

}  // namespace scheduler::cli
