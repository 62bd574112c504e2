#include "slurm/lone_script.h"

#include <string_view>

#include "slurm/agent_shell.h"
#include "slurm/job_script.h"
#include "slurm/job_state.h"

namespace interlink::slurm {
namespace {

constexpr std::string_view kMakeFolder = R"sh(
nonce=$(od -An -v -N16 -tx1 /dev/urandom | tr -d ' \n')
state=$states/interlink-$nonce
if [ "${#nonce}" -ne 32 ] || ! mkdir -m 0700 -- "$state"; then
  [ -z "$told" ] || exit 143
  exit 116
fi
end() {
  trap '' TERM INT HUP
  cd /
  chmod -R u+rwx -- "$state" 2>/dev/null
  rm -rf -- "$state"
  exit "$1"
}
if ! true >>"$state/job.log"; then end 116; fi
exec >>"$state/job.log" 2>&1
if ! mkdir -m 0700 -- "$state/pod" || ! {
  echo "nonce=$nonce"
  echo "job=${SLURM_JOB_ID:-0}"
  echo "restarts=${SLURM_RESTART_COUNT:-0}"
  echo "host=${SLURMD_NODENAME:-$(uname -n)}"
  echo "boot=$(cat /proc/sys/kernel/random/boot_id)"
} >"$state/claim.new" || ! mv -- "$state/claim.new" "$state/claim"; then
  end 116
fi
)sh";

// By the machine's clock: its sleep may be shorter than it is told, its wait ends with a signal.
constexpr std::string_view kAwaitAgent = R"sh(
now() { read -r now rest </proc/uptime && now=${now%%.*}; }
now
limit=$((now + within))
while [ -z "$told" ] && ! [ -e "$state/delivered" ]; do
  now
  if [ "$now" -ge "$limit" ]; then end 118; fi
  { sleep 0.2 2>/dev/null || sleep 1; } &
  wait $!
done
[ -z "$told" ] || end 143
INTERLINK_CLAIM=$nonce
export INTERLINK_CLAIM
cd -- "$state/pod"
)sh";

// The agent makes `gone` before it dials, `term` when it is welcome, `pods` before it runs
// anything.
constexpr std::string_view kEnd = R"sh(
case $code in
  0) if [ -e "$state/pod/term" ]; then end 0; else end 143; fi ;;
  2) if [ -e "$state/pod/gone" ]; then end 113; fi ;;
  117) end 117 ;;
  143) [ -e "$state/pods" ] || end 143 ;;
esac
echo "interlink: the agent ended with $code, $state stays on $(uname -n)"
exit "$code"
)sh";

}  // namespace

Result<std::string> ScriptText(const LoneScript& script) {
  static_assert(kExitClaimLost == 113 && kExitNoStateFolder == 116 && kExitUnfit == 117 &&
                kExitNotBrought == 118);
  if (script.state_folder.empty() || script.state_folder[0] != '/') {
    return InvalidArgument("the folder for state \"" + script.state_folder +
                           "\" is not an absolute path");
  }
  if (HasControl(script.state_folder)) {
    return InvalidArgument("the folder for state has a control character in its name");
  }
  if (script.agent_words.empty()) return InvalidArgument("the job has no command");
  std::string text = ScriptBeginning();
  text += "states=" + ShellWord(script.state_folder) + "\n";
  text += "within=" + std::to_string(script.begin_within.count()) + "\n";
  text += agent_shell::kPassSignals;
  text += kMakeFolder;
  text += kAwaitAgent;
  text += agent_shell::kMeasureJob;
  text += "\nset -- \"$state/interlink-agent\"";
  for (const std::string& word : script.agent_words) {
    if (HasControl(word)) return InvalidArgument("the job's command has a control character");
    text += " " + ShellWord(word);
  }
  text += R"sh( --ca "$state/ca.pem" --token "$state/token" --folder "$state/pod")sh";
  text += "\ncode=143\nif [ -z \"$told\" ]; then\n";
  text += agent_shell::kRunAgent;
  text += "\nfi\n";
  text += agent_shell::kDeaf;
  text += kEnd;
  return text;
}

}  // namespace interlink::slurm
