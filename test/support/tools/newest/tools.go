// Package newest only pins modules: critest is the test binary of sigs.k8s.io/cri-tools/cmd/critest.
package newest

import _ "sigs.k8s.io/cri-tools/pkg/validate"
