// Pins the published CRI definition that test/unit/proto compares ours with. Nothing of it is built.
module interlink/test/cri_api_module

go 1.24

require k8s.io/cri-api v0.37.2
