#!/usr/bin/env bash
# Gives a running lab of one node all that a site can ask for: certificate and token of the node, a policy, an audit log on
# both sides. Restarts both daemons.
#
# usage: secure.sh LAB_DIR      `issuer` (test/support/tools) is in PATH
#   LAB_DIR/issuer/*.pem        the issuer's keys, key-0 first; its URL is https://issuer.example, and nobody answers there
#   LAB_DIR/jwks.json, token-1, policy.yaml, audit.key, audit-site, audit-node
set -euo pipefail
shopt -s inherit_errexit
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
folder=$1
eval "$("$root/test/lab" env "$folder")"

mkdir "$folder/issuer"
issuer key -dir "$folder/issuer" -kid key-0
issuer jwks -dir "$folder/issuer" >"$folder/jwks.json"
(umask 077 && issuer token -dir "$folder/issuer" -kid key-0 -iss https://issuer.example -sub "system:node:$LAB_NODE_NAME" -for 6h >"$folder/token-1" &&
  openssl genpkey -algorithm ed25519 -out "$folder/audit.key")
cat >"$folder/policy.yaml" <<END
Rules:
  - Name: round-0
    Nodes: ["$LAB_NODE_NAME"]
    May: [run, create, exec, exec-sync, attach, port-forward, update, pull]
END
cat >>"$LAB_SITE_CONFIG" <<END
Auth:
  RequireToken: true
  OIDC:
    - Issuer: "https://issuer.example"
      Audiences: [interlink]
      JWKSFile: "$folder/jwks.json"
      NodePrefix: "system:node:"
Policy:
  File: "$folder/policy.yaml"
Audit:
  Folder: "$folder/audit-site"
  SigningKeyFile: "$folder/audit.key"
END
cat >>"$LAB_NODE_CONFIG" <<END
Audit:
  Folder: "$folder/audit-node"
  SigningKeyFile: "$folder/audit.key"
END
"$root/test/lab" stop-node "$folder"
"$root/test/lab" stop-site "$folder"
"$root/test/lab" start-site "$folder"
"$root/test/lab" start-node "$folder"
