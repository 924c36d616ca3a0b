package plugin

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/codecpb"
)

// Format is the format of one endpoint that a plugin translates. The protocol that an
// [Inquiry] returns makes it. It does nothing until Start, and can be started once.
type Format struct {
	// Static after construction.
	options  Options
	request  *codecpb.DescribeRequest
	stateful bool
	profile  core.Profile
	goodbyes [core.NumReasons]goodbye
	needs    core.Needs

	// Static after Bind.
	host core.RemoteHost

	// Static after Start.
	endpoint *core.Endpoint
	log      *slog.Logger
	shards   []*shard
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

var _ core.RemoteFormat = (*Format)(nil)

// Start runs the plugin for ep, the endpoint of this format, until Stop. The error says
// why the first process did not start.
func (f *Format) Start(ep *core.Endpoint, log *slog.Logger) error {
	f.endpoint, f.log = ep, log
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	for i := range f.options.Processes {
		f.shards = append(f.shards, newShard(f, i))
	}
	started := make(chan error, len(f.shards))
	for _, s := range f.shards {
		f.done.Go(func() { _ = onThread(func() error { s.supervise(ctx, started); return nil }) })
	}
	var errs []error
	for range f.shards {
		errs = append(errs, <-started)
	}
	if err := errors.Join(errs...); err != nil {
		f.Stop()
		return err
	}
	return nil
}

// Stop ends the processes. Pending questions get no answer from the plugin any more.
func (f *Format) Stop() {
	if f.cancel != nil {
		f.cancel()
		f.done.Wait()
	}
}

// Bind sets the host whose loops the connections are on.
func (f *Format) Bind(h core.RemoteHost) { f.host = h }

// Flush sends the questions that were asked in a turn of a loop.
func (f *Format) Flush() {
	for _, s := range f.shards {
		s.flush()
	}
}

// Stateful reports whether the codec keeps state of its connections. If so, they end with
// its process.
func (f *Format) Stateful() bool { return f.stateful }

// Processes returns the ids of the processes that serve at this moment, after Start. Any
// goroutine.
func (f *Format) Processes() []int {
	var pids []int
	for _, s := range f.shards {
		if p := s.current(); p != nil {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// Needs returns what the broker is to do for the format.
func (f *Format) Needs() core.Needs { return f.needs }

// Profile returns the habits of the format.
func (f *Format) Profile() core.Profile { return f.profile }

// Goodbye returns the close code and text for a reason.
func (f *Format) Goodbye(r core.Reason) (code uint16, text string) {
	return f.goodbyes[r].code, f.goodbyes[r].text
}

// Shards returns the number of processes.
func (f *Format) Shards() int { return f.options.Processes }

// Attach returns the codec of a new connection.
func (f *Format) Attach(index int, conn core.RemoteConn) core.RemoteCodec {
	c := &codec{shard: f.shards[index], conn: conn, id: conn.ID()}
	c.shard.attach(c)
	return c
}

// AskMessage asks the plugin to encode ev for all subscribers, and calls done with the
// result.
func (f *Format) AskMessage(index int, ev core.Event, done func(core.Frame, error)) {
	f.shards[index].askMessage(ev, done)
}

// errElsewhere is the error of the two methods of Format that a RemoteFormat does not use.
var errElsewhere = errors.New("the format translates in a plugin, which is asked by Attach and AskMessage")

// NewCodec returns a codec that can do nothing: see [core.RemoteFormat].
func (f *Format) NewCodec() core.Codec { return elsewhere{} }

// EncodeMessage fails: see [core.RemoteFormat].
func (f *Format) EncodeMessage(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	return elsewhere{}.Encode(dst, ev)
}

type elsewhere struct{}

func (elsewhere) Decode(core.Frame, core.Sink) error { return errElsewhere }

func (elsewhere) Encode(dst []byte, _ core.Event) ([]byte, core.FrameKind, error) {
	return dst, core.NoFrame, errElsewhere
}
