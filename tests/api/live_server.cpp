#include "api/live_server.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <future>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace scheduler::api {
namespace {

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return text;
}

asio::awaitable<void> stop_server(HttpServer& server, Millis grace, std::promise<void>& done) {
  co_await server.stop(grace);
  done.set_value();
}

}  // namespace

boost::json::value Response::json() const {
  boost::system::error_code ec;
  auto value = boost::json::parse(body, ec);
  EXPECT_FALSE(ec) << "not JSON: " << body;
  return value;
}

std::string Response::code() const {
  const auto value = json();
  const auto* error = value.as_object().if_contains("error");
  return error == nullptr ? "" : std::string(error->at("code").as_string());
}

std::vector<std::string> Response::faulty_fields() const {
  std::vector<std::string> pointers;
  const auto value = json();
  for (const auto& detail : value.at("error").at("details").as_array())
    pointers.emplace_back(detail.at("pointer").as_string());
  return pointers;
}

RawClient::RawClient(unsigned short port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) ADD_FAILURE() << "cannot connect";
}

RawClient::~RawClient() { ::close(fd_); }

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void RawClient::end_sending() { ::shutdown(fd_, SHUT_WR); }

bool RawClient::answered_within(Millis patience) const {
  pollfd descriptor{.fd = fd_, .events = POLLIN, .revents = 0};
  return ::poll(&descriptor, 1, static_cast<int>(patience.count())) > 0;
}

bool RawClient::fill() {
  char bytes[65536];
  const auto got = ::recv(fd_, bytes, sizeof bytes, 0);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) ADD_FAILURE() << "no answer within ten seconds";
  if (got <= 0) return false;
  buffer_.append(bytes, static_cast<std::size_t>(got));
  return true;
}

std::string RawClient::read_until(std::string_view mark) {
  auto at = buffer_.find(mark);
  while (at == std::string::npos && fill()) at = buffer_.find(mark);
  return std::exchange(buffer_, at == std::string::npos ? "" : buffer_.substr(at + mark.size()))
      .substr(0, at == std::string::npos ? at : at + mark.size());
}

Response RawClient::read_response(bool to_head) {
  Response response;
  auto head = read_until("\r\n\r\n");
  if (!head.ends_with("\r\n\r\n")) return response;
  response.status = std::stoi(head.substr(9, 3));
  for (auto at = head.find("\r\n") + 2; at + 2 < head.size();) {
    const auto end = head.find("\r\n", at), colon = head.find(": ", at);
    response.headers[lower(head.substr(at, colon - at))] = head.substr(colon + 2, end - colon - 2);
    at = end + 2;
  }
  if (to_head || response.status == 204 || response.status == 304 || response.status == 100) return response;
  if (response.headers.contains("transfer-encoding")) {
    for (;;) {
      const auto size = std::stoul(read_until("\r\n"), nullptr, 16);
      while (buffer_.size() < size + 2 && fill()) {
      }
      response.body += buffer_.substr(0, size);
      buffer_.erase(0, size + 2);
      if (size == 0) return response;
    }
  }
  const auto size = response.headers.contains("content-length") ? std::stoul(response.headers["content-length"]) : 0;
  while (buffer_.size() < size && fill()) {
  }
  response.body = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return response;
}

std::string message(std::string_view method, std::string_view target, std::string_view body, const Headers& headers) {
  std::string text = fmt::format("{} {} HTTP/1.1\r\n", method, target);
  bool has_host = false, has_type = false, says_who = false;
  for (const auto& [name, value] : headers) {
    const bool who = lower(name) == "authorization" || lower(name) == "x-api-key";
    if (!who || !value.empty()) text += fmt::format("{}: {}\r\n", name, value);
    says_who |= who;
    has_host |= lower(name) == "host";
    has_type |= lower(name) == "content-type";
  }
  if (!has_host) text += "Host: localhost\r\n";
  if (!says_who) text += fmt::format("Authorization: Bearer {}\r\n", admin_token());
  if (!body.empty()) {
    if (!has_type) text += "Content-Type: application/json\r\n";
    text += fmt::format("Content-Length: {}\r\n", body.size());
  }
  return text.append("\r\n").append(body);
}

LiveServer::LiveServer(HttpLimits limits, const std::function<void(FakeWorld&)>& prepare) {
  if (prepare) prepare(world_);
  config::AppConfig config;
  config.api.bind_address = "127.0.0.1:0";
  server_ = std::make_unique<HttpServer>(io_, config, world_.services(), limits);
  const auto port = server_->start();
  if (!port) throw std::runtime_error(port.error().message);
  port_ = *port;
  thread_ = std::thread([this] {
    const auto until_destroyed = boost::asio::make_work_guard(io_);
    io_.run();
  });
}

LiveServer::~LiveServer() {
  stop(Millis{0});
  io_.stop();
  thread_.join();
}

Response LiveServer::request(std::string_view method, std::string_view target, std::string_view body,
                             const Headers& headers) const {
  RawClient client(port_);
  client.send(message(method, target, body, headers));
  return client.read_response(method == "HEAD");
}

void LiveServer::change(const std::function<void(FakeWorld&)>& change) {
  std::promise<void> done;
  asio::post(io_, [&] {
    change(world_);
    world_.runs.wake();
    done.set_value();
  });
  done.get_future().wait();
}

void LiveServer::until(const std::function<bool(const FakeWorld&)>& seen) {
  for (bool found = false; !found;) {
    std::promise<bool> looked;
    asio::post(io_, [&] { looked.set_value(seen(world_)); });
    found = looked.get_future().get();
  }
}

void LiveServer::stop(Millis grace) {
  std::promise<void> done;
  spawn(io_, "stop", stop_server(*server_, grace, done));
  done.get_future().wait();
}

}  // namespace scheduler::api
