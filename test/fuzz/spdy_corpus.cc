// Writes the seeds of the SPDY targets: spdy_corpus FOLDER makes FOLDER/spdy_frames and
// FOLDER/spdy_connection.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "streaming/spdy_frames.h"

namespace interlink::streaming {
namespace {

using Seeds = std::vector<std::pair<std::string, std::string>>;

class Client {
 public:
  Client& Open(uint32_t id, const SpdyHeaders& headers, bool fin = false) {
    bytes += encoder_.SynStream(id, headers, fin).value();
    return *this;
  }
  Client& Data(uint32_t id, std::string_view text, bool fin = false) {
    AppendSpdyData(bytes, id, text, fin);
    return *this;
  }
  Client& Add(const std::string& frame) {
    bytes += frame;
    return *this;
  }
  Client& Headers(uint32_t id, const SpdyHeaders& headers) {
    return Add(encoder_.Headers(id, headers).value());
  }
  std::string bytes;

 private:
  SpdyEncoder encoder_;
};

Client& Command(Client& client, bool tty) {
  return client.Open(1, {{"streamtype", "error"}})
      .Open(3, {{"streamtype", "stdin"}})
      .Open(5, {{"streamtype", "stdout"}})
      .Open(7, {{"streamtype", tty ? "resize" : "stderr"}});
}

SpdyHeaders Forward(const char* type, const char* port, const char* request) {
  return {{"streamtype", type}, {"port", port}, {"requestid", request}};
}

Seeds Make() {
  Seeds seeds;
  Client command;
  Command(command, false)
      .Data(3, "hello")
      .Add(SpdyPing(1))
      .Data(3, "", true)
      .Add(SpdyResetFrame(5, SpdyReset::kCancel))
      .Add(SpdyGoAway(0, 0));
  seeds.emplace_back("command", command.bytes);
  Client terminal;
  Command(terminal, true).Data(7, "{\"Width\":80,\"Height\":24}\n").Data(3, "x", true);
  seeds.emplace_back("terminal", terminal.bytes);
  Client forward;
  forward.Open(1, Forward("error", "80", "0"), true)
      .Open(3, Forward("data", "80", "0"))
      .Data(3, "GET /")
      .Open(5, Forward("data", "81", "1"))
      .Open(7, Forward("error", "81", "1"))
      .Data(5, "", true)
      .Open(9, {{"streamtype", "error"}, {"port", "1"}})
      .Open(11, {{"streamtype", "data"}, {"port", "1"}})
      .Open(13, Forward("data", "0", "2"))
      .Add(SpdyGoAway(0, 0));
  seeds.emplace_back("forward", forward.bytes);
  Client odd;
  odd.Open(1, {{"streamtype", "error"}})
      .Headers(1, {{"a", "b"}})
      .Add(std::string(
          "\x80\x03\x00\x04\x00\x00\x00\x0c\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00\x64", 20))
      .Add(std::string("\x80\x03\x00\x09\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x10\x00", 16))
      .Add(std::string("\x80\x03\x00\x0a\x00\x00\x00\x00", 8))
      .Open(3, {{"streamtype", std::string("a\0b", 3)}})
      .Data(3, std::string(300, 'x'));
  seeds.emplace_back("other-frames", odd.bytes);
  return seeds;
}

int Write(const std::filesystem::path& folder) {
  for (const auto& [name, bytes] : Make()) {
    const char what = name == "forward" ? 1 : name == "terminal" ? 2 : 0;
    const std::vector<std::pair<std::string, std::string>> files = {
        {"spdy_frames/" + name, std::string(1, '\x07') + bytes},
        {"spdy_connection/" + name, std::string{what, '\x02'} + bytes}};
    for (const auto& [file, content] : files) {
      std::filesystem::create_directories((folder / file).parent_path());
      std::ofstream out(folder / file, std::ios::binary);
      if (!(out << content).flush()) {
        std::cerr << "spdy_corpus: cannot write " << folder / file << "\n";
        return 1;
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace interlink::streaming

int main(int argc, char** argv) {
  if (argc == 2) return interlink::streaming::Write(argv[1]);
  std::cerr << "usage: spdy_corpus FOLDER\n";
  return 2;
}
