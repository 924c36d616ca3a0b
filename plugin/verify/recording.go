package verify

import (
	"log/slog"
	"net/http"
	"slices"
	"sync"

	"github.com/polywire/polywire/core"
)

// The bounds of a recording: whatever the conversations say, verifying ends soon.
const (
	maxConnections = 400
	maxRecorded    = 4 << 20 // bytes of all messages
)

// recording is what clients have sent to the plugin's endpoints, by connection. Any
// goroutine.
type recording struct {
	mu          sync.Mutex
	connections []*recordedCodec
	bytes       int
}

// sequences returns the messages of each connection that has sent any.
func (r *recording) sequences() [][]core.Frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all [][]core.Frame
	for _, c := range r.connections {
		if len(c.frames) > 0 {
			all = append(all, slices.Clone(c.frames))
		}
	}
	return all
}

// format is the part of a plugin's format that the broker uses.
type format interface {
	core.RemoteFormat
	Needs() core.Needs
	Start(*core.Endpoint, *slog.Logger) error
	Stop()
	Stateful() bool
	Processes() []int
}

// httpFormat is a format that also serves plain HTTP.
type httpFormat interface {
	format
	Handler(core.Publisher, *core.Stats) http.Handler
}

// listen wraps f so that its connections are recorded.
func (r *recording) listen(f core.Format) core.Format {
	if h, ok := f.(httpFormat); ok {
		return &recordedHTTP{recordedFormat{h, r}, h}
	}
	return &recordedFormat{f.(format), r}
}

type recordedFormat struct {
	format
	to *recording
}

// Attach returns the codec of a connection that is recorded.
func (f *recordedFormat) Attach(shard int, conn core.RemoteConn) core.RemoteCodec {
	c := &recordedCodec{RemoteCodec: f.format.Attach(shard, conn), to: f.to}
	f.to.mu.Lock()
	defer f.to.mu.Unlock()
	if len(f.to.connections) < maxConnections {
		f.to.connections = append(f.to.connections, c)
	}
	return c
}

type recordedHTTP struct {
	recordedFormat
	http httpFormat
}

// Handler is that of the plugin.
func (f *recordedHTTP) Handler(p core.Publisher, stats *core.Stats) http.Handler {
	return f.http.Handler(p, stats)
}

type recordedCodec struct {
	core.RemoteCodec
	to *recording

	// Guarded by to.mu.
	frames []core.Frame
}

// Decode records the message.
func (c *recordedCodec) Decode(f core.Frame) {
	c.to.mu.Lock()
	if c.to.bytes+len(f.Data) <= maxRecorded {
		c.to.bytes += len(f.Data)
		c.frames = append(c.frames, f.Clone())
	}
	c.to.mu.Unlock()
	c.RemoteCodec.Decode(f)
}
