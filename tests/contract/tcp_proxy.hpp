// tests/contract/tcp_proxy.hpp — a wire that a test can cut or freeze, between an adapter and a real server.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>

namespace scheduler::contract {

// Listens on loopback and hands everything on, on a thread of its own. What is called here is in force when it returns.
class TcpProxy {
  using tcp = boost::asio::ip::tcp;
  using Fault = boost::system::error_code;

 public:
  explicit TcpProxy(int target) : target_(boost::asio::ip::make_address("127.0.0.1"), port_type(target)) {
    acceptor_.open(tcp::v4());
    acceptor_.set_option(tcp::acceptor::reuse_address(true));
    acceptor_.bind({target_.address(), 0});
    acceptor_.listen();
    port_ = acceptor_.local_endpoint().port();
    accept();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~TcpProxy() {
    io_.stop();
    thread_.join();
  }

  [[nodiscard]] int port() const { return port_; }
  // Ends every connection that stands.
  void cut() {
    on_thread([this] { end_all(); });
  }
  // Connections are refused from now on: cut at once.
  void away() {
    on_thread([this] {
      away_ = true;
      end_all();
    });
  }
  void back() {
    on_thread([this] { away_ = false; });
  }
  // To every client, as if the server had said it; only while the wire is quiet.
  void say(std::string bytes) {
    on_thread([&] {
      for (const auto& pair : pairs_) boost::asio::write(pair->client, boost::asio::buffer(bytes));
    });
  }
  // Nothing is handed on any more, and nobody is told.
  void freeze() {
    on_thread([this] { frozen_ = true; });
  }

 private:
  struct Pair : std::enable_shared_from_this<Pair> {
    Pair(TcpProxy& p, tcp::socket c) : proxy(p), client(std::move(c)), server(p.io_) {}
    void pump(tcp::socket& from, tcp::socket& to, std::array<char, 64 << 10>& buffer) {
      from.async_read_some(boost::asio::buffer(buffer),
                           [this, self = shared_from_this(), &from, &to, &buffer](Fault fault, std::size_t size) {
                             if (proxy.frozen_) return;
                             if (fault) return end();
                             boost::asio::async_write(to, boost::asio::buffer(buffer, size),
                                                      [this, self, &from, &to, &buffer](Fault broken, std::size_t) {
                                                        if (broken) return end();
                                                        pump(from, to, buffer);
                                                      });
                           });
    }
    void end() {
      Fault ignored;
      client.close(ignored);
      server.close(ignored);
      proxy.pairs_.erase(shared_from_this());
    }
    TcpProxy& proxy;
    tcp::socket client, server;
    std::array<char, 64 << 10> up{}, down{};
  };

  static unsigned short port_type(int port) { return static_cast<unsigned short>(port); }

  void accept() {
    acceptor_.async_accept([this](Fault fault, tcp::socket socket) {
      if (fault) return;
      accept();
      if (away_) return;
      const auto pair = std::make_shared<Pair>(*this, std::move(socket));
      Fault unreachable;
      pair->server.connect(target_, unreachable);
      if (unreachable) return;
      pairs_.insert(pair);
      pair->pump(pair->client, pair->server, pair->up);
      pair->pump(pair->server, pair->client, pair->down);
    });
  }
  void end_all() {
    while (!pairs_.empty()) (*std::set(pairs_).begin())->end();
  }
  template <class Work>
  void on_thread(Work work) {
    std::promise<void> done;
    boost::asio::post(io_, [&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  boost::asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  tcp::endpoint target_;
  int port_ = 0;
  bool away_ = false, frozen_ = false;
  std::set<std::shared_ptr<Pair>> pairs_;
  std::thread thread_;
};

}  // namespace scheduler::contract
