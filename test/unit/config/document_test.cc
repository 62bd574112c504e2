#include "config/document.h"

#include <catch2/catch.hpp>
#include <string>

#include "unit/config/folder.h"

namespace interlink::config {
namespace {

TEST_CASE("what makes YAML say something else than it shows is refused at its line") {
  const auto [text, message] = GENERATE(table<std::string, std::string>({
      {"a: 1\nb: 2\na: 3\n", "f:3: duplicate key \"a\", it is also at f:1"},
      {"a:\n  b: 1\n  b: 2\n", "f:3: duplicate key \"b\", it is also at f:2"},
      {"a: {b: 1, b: 2}\n", "f:1: duplicate key \"b\", it is also at f:1"},
      {"a: 1\n---\nb: 2\n", "f:2: a second document: only one is taken"},
      {"a: &x 1\nb: *x\n", "f:1: anchors (&name) are not taken: write the value out"},
      {"a: &x {c: 1}\n", "f:1: anchors (&name) are not taken: write the value out"},
      {"a:\n  <<: {b: 1}\n", "f:2: merge keys (<<) are not taken: write the keys out"},
      {"a: !!str 1\n", "f:1: tags (\"tag:yaml.org,2002:str\") are not taken"},
      {"a: !x 1\n", "f:1: tags (\"!x\") are not taken"},
      {"{a: 1}: b\n", "f:1: a key must be a text"},
      {"~: b\n", "f:1: a key must be a text, it is empty"},
      {"- a\n", "f:1: the file must hold a map of keys and values"},
      {"text\n", "f:1: the file must hold a map of keys and values"},
  }));
  INFO(text);
  CHECK(ParseDocument(text, "f").status() == InvalidArgument(message));
}

TEST_CASE("malformed YAML is told with its line") {
  const auto [text, place] = GENERATE(table<std::string, std::string>({
      {"a: 1\nb: [1, 2\n", "f:3: not YAML: "},
      {"a: 1\n\tb: 2\n", "f:2: not YAML: "},
      {"a: 1\nb: \"x\n", "f:2: not YAML: a quote is not closed"},
      {"a: 'it''s\n", "f:1: not YAML: a quote is not closed"},
      {"a: \"x\\\"\n", "f:1: not YAML: a quote is not closed"},
      {"a: b: c\n", "f:1: not YAML: "},
      {"a: @x\n", "f:1: not YAML: "},
  }));
  const Status status = ParseDocument(text, "f").status();
  INFO(text << status.ToString());
  CHECK(status.code() == Code::kInvalidArgument);
  CHECK(status.message().starts_with(place));
}

TEST_CASE("closed quotes are taken") {
  const auto document =
      ParseDocument("# \xC3\xA4\na: \"\xC3\xA4 \\\"x\\\" '\"\nb: 'it''s \"'\n\"c\": ''''\n", "f");
  INFO(document.status().ToString());
  REQUIRE(document.ok());
  CHECK(document->Find("a")->scalar == "\xC3\xA4 \"x\" '");
  CHECK(document->Find("b")->scalar == "it's \"");
  CHECK(document->Find("c")->scalar == "'");
  CHECK(document->Find("c")->quoted);
}

TEST_CASE("a bomb of brackets is refused") {
  CHECK(ParseDocument("a: " + std::string(100000, '['), "f").status().code() ==
        Code::kInvalidArgument);
}

TEST_CASE("an empty file is an empty map") {
  CHECK(ParseDocument("", "f")->members.empty());
  CHECK(ParseDocument("# only a comment\n", "f")->members.empty());
}

TEST_CASE("files of conf.d lie on top in the order of their names") {
  const Folder folder;
  const std::string file = folder.Write("config.yaml",
                                        "Text: main\n"
                                        "Section: {A: main, B: main, C: main}\n"
                                        "List: [1, 2, 3]\n");
  folder.Write("conf.d/20-b.yaml", "Section: {B: twenty}\nNew: twenty\n");
  folder.Write("conf.d/10-a.yaml", "Section: {A: ten, B: ten}\nList: [9]\nText: ten\n");
  folder.Write("conf.d/30-c.yaml", "Section:\n");
  folder.Write("conf.d/.hidden.yaml", "Text: hidden\n");
  folder.Write("conf.d/note.txt", "Text: note\n");

  const auto document = LoadDocument(file);

  REQUIRE(document.ok());
  const Value* section = document->Find("Section");
  CHECK(section->Find("A")->scalar == "ten");
  CHECK(section->Find("B")->scalar == "twenty");
  CHECK(section->Find("C")->scalar == "main");
  CHECK(folder.Short(section->Find("B")->where) == "conf.d/20-b.yaml:1");
  CHECK(folder.Short(section->Find("C")->where) == "config.yaml:2");
  REQUIRE(document->Find("List")->items.size() == 1);
  CHECK(document->Find("List")->items[0].scalar == "9");
  CHECK(document->Find("Text")->scalar == "ten");
  CHECK(document->Find("New")->scalar == "twenty");
}

TEST_CASE("a file that cannot be read is told by its name") {
  const Folder folder;
  CHECK(LoadDocument(folder.Path("absent.yaml")).status().code() == Code::kNotFound);
  CHECK(LoadDocument(folder.Path("")).status().code() != Code::kOk);

  const std::string file = folder.Write("config.yaml", "");
  folder.Write("conf.d/broken.yaml", "a: [\n");
  const Status status = LoadDocument(file).status();
  CHECK(folder.Short(status.message()).starts_with("conf.d/broken.yaml:"));
}

}  // namespace
}  // namespace interlink::config
