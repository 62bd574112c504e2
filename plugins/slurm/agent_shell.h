// What every job does around its agent, in words of sh: parts of a line, each ending in "; ". They
// expect `state`, the agent's folder on the compute node, and INTERLINK_CLAIM, the nonce.
#ifndef INTERLINK_PLUGINS_SLURM_AGENT_SHELL_H_
#define INTERLINK_PLUGINS_SLURM_AGENT_SHELL_H_

namespace interlink::slurm::agent_shell {

// TERM and the like go to the agent, which ends the pod with it. `told`: one has come.
inline constexpr const char* kPassSignals =
    R"sh(agent=; told=; )sh"
    R"sh(trap 'told=1; [ -z "$agent" ] || kill -TERM "$agent" 2>/dev/null' TERM INT HUP; )sh";

// What the job has: SLURM says memory for the machine or for each CPU. What is no number is not
// known.
inline constexpr const char* kMeasureJob =
    R"sh(number() { case $1 in ''|*[!0-9]*) echo 0 ;; *) echo "$1" ;; esac; }; )sh"
    R"sh(cpus=$(number "${SLURM_CPUS_ON_NODE:-}"); memory=$(number "${SLURM_MEM_PER_NODE:-}"); )sh"
    R"sh([ "$memory" != 0 ] || memory=$(($(number "${SLURM_MEM_PER_CPU:-}") * cpus)); )sh";

// "$@" is the agent's command. `code`: how it ended. `wait` returns early when a signal comes.
inline constexpr const char* kRunAgent =
    R"sh("$@" --nonce "$INTERLINK_CLAIM" --allocation "${SLURM_JOB_ID:-0}" )sh"
    R"sh(--memory-mib "$memory" --cpus "$cpus" --state "$state" & )sh"
    R"sh(agent=$!; [ -z "$told" ] || kill -TERM "$agent" 2>/dev/null; )sh"
    R"sh(while :; do wait "$agent"; code=$?; kill -0 "$agent" 2>/dev/null || break; done; )sh";

// The scheduler sends its signals to every process of the job: one that comes while the folder goes
// must not end that.
inline constexpr const char* kDeaf = R"sh(trap '' TERM INT HUP; )sh";

}  // namespace interlink::slurm::agent_shell

#endif  // INTERLINK_PLUGINS_SLURM_AGENT_SHELL_H_
