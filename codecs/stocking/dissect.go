package stocking

import (
	"bytes"

	"github.com/polywire/polywire/core"
)

var _ core.Dissector = (*Format)(nil)

// Dissect finds the content behind the second comma.
func (*Format) Dissect(_ bool, f core.Frame) core.Dissection {
	start := 0
	for range 2 {
		i := bytes.IndexByte(f.Data[start:], ',')
		if i < 0 {
			return core.Dissection{}
		}
		start += i + 1
	}
	return core.Dissection{Start: start}
}
