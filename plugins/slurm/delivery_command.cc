#include "slurm/delivery_command.h"

#include "slurm/step_command.h"

namespace interlink::slurm {
namespace {

// $0 the folder of folders, then greeting and the sizes of agent, CA and token. Other users may put
// what they like beside our folders, where StateFolder is /tmp: only what is ours counts. A file is
// whole before it has its name, `delivered` is last: who is cut off leaves nothing that looks done.
constexpr const char* kDeliveryScript =
    R"sh(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH; umask 077; )sh"
    R"sh(claim=; for one in "$0"/interlink-*/claim; do )sh"
    R"sh([ -O "$one" ] && [ -O "${one%/claim}" ] && ! [ -L "${one%/claim}" ] || continue; )sh"
    R"sh(grep -qx "job=$SLURM_JOB_ID" "$one" || continue; )sh"
    R"sh(if [ -z "$claim" ] || [ "$one" -nt "$claim" ]; then claim=$one; fi; done; )sh"
    R"sh(if [ -z "$claim" ]; then echo "$1 none"; exit 0; fi; )sh"
    R"sh(words=$(tr '\n' ' ' <"$claim"); cd -- "${claim%/claim}" || exit 1; )sh"
    R"sh(if [ -e delivered ]; then echo "$1 done $words"; exit 0; fi; )sh"
    R"sh(trap 'rm -f -- interlink-agent.$$ ca.pem.$$ token.$$ delivered.$$' EXIT; trap 'exit 1' TERM INT HUP; )sh"
    R"sh(take() { head -c "$2" >"$1.$$" && [ "$(wc -c <"$1.$$")" -eq "$2" ]; }; )sh"
    R"sh(echo "$1 send $words"; )sh"
    R"sh(if take interlink-agent "$2" && take ca.pem "$3" && take token "$4" && chmod 0700 interlink-agent.$$ && )sh"
    R"sh(: >delivered.$$ && for one in interlink-agent ca.pem token delivered; do )sh"
    R"sh(mv -f -- "$one.$$" "$one" || exit 1; done; then echo "$1 ok"; exit 0; fi; )sh"
    R"sh(echo "interlink: not everything has come to $(uname -n), or it cannot be kept in $0" >&2; exit 1)sh";

}  // namespace

Result<std::vector<std::string>> DeliveryCommandWords(const DeliveryCommand& command) {
  ASSIGN_OR_RETURN(auto words, StepWords({command.job, command.host, "interlink-delivery",
                                          command.runtime_none, command.user}));
  words.insert(words.end(), {"/bin/sh", "-c", kDeliveryScript, command.state_folder,
                             command.greeting, std::to_string(command.agent_size),
                             std::to_string(command.ca_size), std::to_string(command.token_size)});
  return words;
}

}  // namespace interlink::slurm
