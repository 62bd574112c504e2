// Real registries on loopback for the tests of lib/images: Debian's docker-registry, and servers
// that misbehave. Each is a child that ends with its object.
#ifndef INTERLINK_TEST_INTEGRATION_IMAGES_REGISTRIES_H_
#define INTERLINK_TEST_INTEGRATION_IMAGES_REGISTRIES_H_

#include <string>
#include <vector>

#include "base/spawn.h"
#include "unit/images/temp_folder.h"

namespace interlink::images {

class Server {
 public:
  Server() = default;
  Server(Server&&) noexcept = default;
  Server& operator=(Server&&) noexcept = default;
  ~Server();
  // "127.0.0.1:PORT"
  std::string address;
  Child child;
};

// Fails the running test when it does not come up. `storage` may be shared by several.
// `password_file`: htpasswd with bcrypt, or empty.
Server StartRegistry(const TempFolder& temp, const std::string& storage,
                     const std::string& password_file = "");
// A python script that takes a port file first.
Server StartScript(const TempFolder& temp, const std::string& script,
                   const std::vector<std::string>& arguments);
// Runs a python script to its end; fails the running test when it fails.
void RunScript(const std::string& script, const std::vector<std::string>& arguments);

}  // namespace interlink::images

#endif  // INTERLINK_TEST_INTEGRATION_IMAGES_REGISTRIES_H_
