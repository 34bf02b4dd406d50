// tests/contract/server_process.hpp — a server of one test's own, to be killed in the middle.
#pragma once

#include "support/temp_dir.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <functional>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace scheduler::contract {

// A program on a free port of loopback, with a directory that outlives its restarts.
class ServerProcess {
 public:
  using Arguments = std::function<std::vector<std::string>(int port, const std::string& directory)>;
  ServerProcess(std::string program, Arguments arguments)
      : program_(std::move(program)), arguments_(std::move(arguments)) {
    boost::asio::io_context io;
    port_ = boost::asio::ip::tcp::acceptor(io, any_port()).local_endpoint().port();
  }
  ~ServerProcess() { kill(); }

  // Until it takes connections; false where there is no such program, or it does not within ten seconds.
  bool start() {
    std::vector<std::string> words{program_};
    for (auto& word : arguments_(port_, directory_.file(""))) words.push_back(word);
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      const int nothing = ::open("/dev/null", O_RDWR);
      ::dup2(nothing, 1);
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
    for (int i = 0; i < 1000 && pid_ > 0; ++i) {
      if (answers()) return true;
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    return false;
  }
  // At once, as a crash would.
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  [[nodiscard]] int port() const { return port_; }

 private:
  static boost::asio::ip::tcp::endpoint any_port() { return {boost::asio::ip::make_address("127.0.0.1"), 0}; }
  [[nodiscard]] bool answers() const {
    boost::asio::io_context io;
    boost::asio::ip::tcp::socket socket(io);
    boost::system::error_code fault;
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), static_cast<unsigned short>(port_)}, fault);
    return !fault;
  }

  std::string program_;
  Arguments arguments_;
  testing_support::TempDir directory_;
  int port_ = 0;
  pid_t pid_ = 0;
};

}  // namespace scheduler::contract
