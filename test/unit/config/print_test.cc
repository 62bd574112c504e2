#include "config/print.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <string>

#include "config/api_config.h"
#include "config/cri_config.h"

namespace interlink::config {
namespace {

// Removes the '#' of examples: of "#Key: ..." and of the indented lines that follow "#Key:".
std::string WithExamples(const std::string& yaml) {
  std::string out;
  bool in_block = false;
  for (size_t begin = 0; begin < yaml.size();) {
    const size_t end = yaml.find('\n', begin);
    std::string line = yaml.substr(begin, end - begin);
    begin = end + 1;
    const size_t hash = line.find_first_not_of(' ');
    const bool comment = hash != std::string::npos && line[hash] == '#' && hash + 1 < line.size();
    const bool key = comment && line[hash + 1] != ' ';
    if (key || (comment && in_block)) line.erase(hash, 1);
    in_block = key ? line.ends_with(':') : comment && in_block;
    out += line + "\n";
  }
  return out;
}

TEST_CASE("the printed default is a file that says the same as an empty one") {
  CriConfig printed;
  const std::string yaml = PrintYaml(CriKeys(&printed), "interlink-cri");
  const auto document = ParseDocument(yaml, "printed");
  INFO(yaml << document.status().ToString());
  REQUIRE(document.ok());

  CriConfig read;
  Sources sources;
  REQUIRE(ReadKeys(*document, CriKeys(&read), "", &sources).ok());

  CHECK(sources.contains("CRI.RequestTimeout"));
  CHECK_FALSE(sources.contains("InterlinkAddress"));
  CHECK(PrintYaml(CriKeys(&read), "interlink-cri") == yaml);
}

TEST_CASE("every example in the printed default is a right value") {
  CriConfig cri;
  const auto cri_text = WithExamples(PrintYaml(CriKeys(&cri), "interlink-cri"));
  const auto cri_document = ParseDocument(cri_text, "printed");
  INFO(cri_text << cri_document.status().ToString());
  REQUIRE(cri_document.ok());
  Sources sources;
  CHECK(ReadKeys(*cri_document, CriKeys(&cri), "", &sources) == Status());
  CHECK(sources.size() == CriKeys(&cri).size());

  ApiConfig api;
  const auto api_text = WithExamples(PrintYaml(ApiKeys(&api), "interlink-api"));
  const auto api_document = ParseDocument(api_text, "printed");
  INFO(api_text << api_document.status().ToString());
  REQUIRE(api_document.ok());
  sources.clear();
  CHECK(ReadKeys(*api_document, ApiKeys(&api), "", &sources) == Status());
  CHECK(sources.size() == ApiKeys(&api).size());
  CHECK(api.plugins.size() == 1);
}

TEST_CASE("every key is documented, in the file and in the reference") {
  ApiConfig config;
  const Keys keys = ApiKeys(&config);
  const std::string reference = PrintReference(keys, "Keys of interlink-api");
  for (const Key& key : keys) {
    INFO(key.path);
    CHECK(key.doc.ends_with("."));
    CHECK(key.doc.size() > 10);
    CHECK_FALSE(key.takes.empty());
    CHECK(reference.find("| `" + key.path + "` |") != std::string::npos);
    const std::string value = key.show ? key.show() : "";
    // A key without a default shows how a value looks.
    if (value.empty() || value == "[]" || value == "{}") CHECK_FALSE(key.example.empty());
  }
  CHECK(reference.find("`AllowedHostPaths`") != std::string::npos);
  CHECK(reference.find("| `LogBufferPerContainer` | a size such as 512MiB or 1GiB, from 1MiB to "
                       "1024TiB | `1GiB` |") != std::string::npos);
}

TEST_CASE("the committed reference pages are what the tables of keys say") {
  const auto committed = [](const std::string& name) {
    std::ifstream file(std::string(DOCS) + "/" + name);
    REQUIRE(file.good());
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  // Differs: build/dev/bin/interlink-cri config --reference > docs/config-cri.md (api likewise).
  CHECK(CriReference() == committed("config-cri.md"));
  CHECK(ApiReference() == committed("config-api.md"));
}

}  // namespace
}  // namespace interlink::config
