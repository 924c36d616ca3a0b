package wubsub

import "github.com/polywire/polywire/core"

var _ core.Dissector = (*Format)(nil)

// made are the members with what the server has made up.
var made = []string{"reqid"}

// Dissect says that the ids of requests are the server's.
func (*Format) Dissect(bool, core.Frame) core.Dissection { return core.Dissection{Made: made} }
