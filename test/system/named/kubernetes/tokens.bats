#!/usr/bin/env bats
# A real product as the issuer of the node's token: the API server's service accounts, whose keys the site asks for.
source "$BATS_TEST_DIRNAME/kube.bash"

setup() {
  cp "$LAB_SITE_CONFIG" "$BATS_TEST_TMPDIR/site.yaml"
  server=$(kubectl config view -o jsonpath='{.clusters[0].cluster.server}')
}
teardown() {
  end_test
  cp "$BATS_TEST_TMPDIR/site.yaml" "$LAB_SITE_CONFIG"
  rm -f "$LAB_DIR/token-1"
  restart
  kubectl delete namespace interlink --wait=false >/dev/null 2>&1 || true
  kubectl delete clusterrolebinding who-asks-for-keys >/dev/null 2>&1 || true
}

restart() {
  lab stop-node "$LAB_DIR" >&2
  lab stop-site "$LAB_DIR" >&2
  lab start-site "$LAB_DIR" >&2
  lab start-node "$LAB_DIR" >&2
}
token() { # AUDIENCE
  (umask 077 && kubectl create token "$LAB_NODE_NAME" --namespace interlink --audience "$1" --duration 1h >"$LAB_DIR/token.new")
  mv "$LAB_DIR/token.new" "$LAB_DIR/token-1"
}
why_not() { crictl info | jq -r '.status.conditions[] | select(.type == "SiteReachable") | .message'; }
says_why_not() { why_not | grep -Eq -- "$1"; }

@test "a service account's token lets its node in; without it, or for another audience, nothing does" {
  kubectl create namespace interlink >/dev/null
  kubectl create serviceaccount "$LAB_NODE_NAME" --namespace interlink >/dev/null
  kubectl create clusterrolebinding who-asks-for-keys --clusterrole system:service-account-issuer-discovery --group system:unauthenticated >/dev/null
  cat >>"$LAB_SITE_CONFIG" <<END
Auth:
  RequireToken: true
  OIDC:
    - Issuer: "$server"
      Audiences: [interlink]
      CACertFile: "$(kubectl config view --raw -o jsonpath='{.clusters[0].cluster.certificate-authority}')"
      NodePrefix: "system:serviceaccount:interlink:"
END
  token somebody-else
  restart
  eventually 20 says_why_not "audience"
  token interlink
  eventually 20 site_is_reachable
  eventually 60 node_is_ready
  run_pod trusted . sh -c "$RUN"
  same 0 "$(kubectl exec trusted -- sh -c 'echo 0')"
  rm "$LAB_DIR/token-1"
  lab stop-node "$LAB_DIR" >&2
  lab start-node "$LAB_DIR" >&2
  eventually 20 says_why_not "token"
  # What runs goes on.
  token interlink
  lab stop-node "$LAB_DIR" >&2
  lab start-node "$LAB_DIR" >&2
  eventually 20 site_is_reachable
  same 0 "$(pod_is trusted '.status.containerStatuses[0].restartCount')"
}
