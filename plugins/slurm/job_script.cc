#include "slurm/job_script.h"

#include <string_view>

namespace interlink::slurm {
namespace {

// The first line that is no comment ends sbatch's search for options. PATH and umask do not depend
// on what the user's profile says.
constexpr std::string_view kBegin = R"sh(#!/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 077
)sh";

constexpr std::string_view kClaim = R"sh(if ! cd -- "$pod"; then
  echo "interlink: no folder $pod on $(uname -n)" >&2
  exit 114
fi
if ! true >>job.log; then
  echo "interlink: $pod cannot be written on $(uname -n)" >&2
  exit 115
fi
exec >>job.log 2>&1
nonce=$(od -An -v -N16 -tx1 /dev/urandom | tr -d ' \n')
own=own.$nonce
if [ "${#nonce}" -ne 32 ] || ! {
  echo "nonce=$nonce"
  echo "job=${SLURM_JOB_ID:-0}"
  echo "restarts=${SLURM_RESTART_COUNT:-0}"
  echo "host=${SLURMD_NODENAME:-$(uname -n)}"
  echo "boot=$(cat /proc/sys/kernel/random/boot_id)"
} >"$own"; then
  echo "interlink: $pod cannot be written on $(uname -n)"
  exit 115
fi
ln -- "$own" claim 2>/dev/null
if ! [ -e claim ]; then
  echo "interlink: no claim can be made in $pod on $(uname -n)"
  exit 115
fi
if ! [ "$own" -ef claim ]; then
  rm -f -- "$own"
  echo "interlink: another job has the pod: $(tr '\n' ' ' <claim)"
  exit 113
fi
INTERLINK_CLAIM=$nonce
export INTERLINK_CLAIM
)sh";

}  // namespace

std::string ScriptBeginning() { return std::string(kBegin); }

bool HasControl(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) return true;
  }
  return false;
}

std::string ShellWord(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

Result<std::string> ScriptText(const JobScript& script) {
  if (script.pod_folder.empty() || script.pod_folder[0] != '/') {
    return InvalidArgument("the pod's folder \"" + script.pod_folder +
                           "\" is not an absolute path");
  }
  if (HasControl(script.pod_folder)) {
    return InvalidArgument("the pod's folder has a control character in its name");
  }
  if (script.command.empty()) return InvalidArgument("the job has no command");
  std::string text(kBegin);
  text += "pod=" + ShellWord(script.pod_folder) + "\n";
  text += kClaim;
  text += "exec";
  for (const std::string& word : script.command) {
    if (HasControl(word)) return InvalidArgument("the job's command has a control character");
    text += " " + ShellWord(word);
  }
  return text + "\n";
}

}  // namespace interlink::slurm
