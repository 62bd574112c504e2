// Package tools only pins modules: critest is the test binary of sigs.k8s.io/cri-tools/cmd/critest.
package tools

import _ "sigs.k8s.io/cri-tools/pkg/validate"
