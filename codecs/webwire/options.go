package webwire

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
)

// The original's defaults and minimum settings (docs/formats/webwire.md, "Options and defaults").
const (
	defaultReadTimeout = 60 * time.Second
	defaultBufferSize  = 8192
	defaultConcurrency = 1
	minReadTimeout     = time.Second
	maxReadTimeout     = math.MaxUint32 * time.Millisecond
	minBufferSize      = 32
	maxBufferSize      = 1 << 30
)

// The values of Options.ReplyEncoding.
const (
	// SameEncoding replies in the encoding of the answer: bytes as binary, text as UTF-8, or
	// as UTF-16 if the answer or the request is in it. An answer without a payload is in the
	// encoding of the request.
	SameEncoding = "same"
	// UTF8Encoding answers in UTF-8 whatever the encoding of the request, which
	// serves the client in JavaScript best.
	UTF8Encoding = "utf8"
)

// The values of SessionOptions.Store.
const (
	// MemoryStore keeps sessions in the process: they end with it.
	MemoryStore = core.SessionsMemory
	// FileStore keeps them in files, as the original does: see package sessions.
	FileStore = core.SessionsFile
	// ClusterStore keeps them where all nodes of the cluster have them.
	ClusterStore = core.SessionsCluster
	// NoStore turns sessions off.
	NoStore = core.SessionsNone
)

// SessionOptions say where an endpoint keeps its sessions. The format does not read
// them: whoever builds the endpoint gives it the store.
type SessionOptions struct {
	// Store is MemoryStore, FileStore, ClusterStore or NoStore.
	Store string `koanf:"store"`
	// Dir is the folder of FileStore.
	Dir string `koanf:"dir"`
	// MaxConnections bounds the connections of one session, of ClusterStore those at all nodes; 0 is
	// no bound.
	MaxConnections int `koanf:"max_connections"`
	// Max bounds the sessions: one more evicts the session whose last use (creating or
	// restoring it) is longest ago. 0 means no bound but that of MemoryStore, 100,000. ClusterStore
	// has none.
	Max int `koanf:"max"`
	// MaxAge is how long an unused session is kept; 0 is for ever.
	MaxAge time.Duration `koanf:"max_age"`
}

// Options are what an endpoint of this format can set.
type Options struct {
	// ReadTimeout is how long a client may go without a message. Clients are told.
	ReadTimeout time.Duration `koanf:"read_timeout"`
	// MessageBufferSize is the biggest message in bytes, both ways. Clients are told, and
	// clients in Go require that it equals their own setting.
	MessageBufferSize int `koanf:"message_buffer_size"`
	// SubProtocol is the name of the application's protocol; empty for none.
	SubProtocol string `koanf:"sub_protocol"`
	// Subscribe are patterns that every connection hears.
	Subscribe []string `koanf:"subscribe"`
	// DefaultTopic is the topic of signals, and the service of requests, without a name.
	// Signals on it go out without one.
	DefaultTopic string `koanf:"default_topic"`
	// ReplyEncoding is SameEncoding or UTF8Encoding.
	ReplyEncoding string `koanf:"reply_encoding"`
	// ConcurrencyLimit is how many requests of one connection are answered at once; its
	// further messages, signals included, wait. As in the original the default is 1, one
	// after the other; 0 means 1 too, and anything below 0 means no limit. The format does
	// not read it: whoever builds the endpoint enforces it.
	ConcurrencyLimit int `koanf:"concurrency_limit"`
	// Sessions say where sessions are kept.
	Sessions SessionOptions `koanf:"sessions"`
}

// Protocol introduces the format. There is one bound on messages, which clients are told:
// message_buffer_size. The endpoint's max_message_size takes it from the profile; New fails
// if it was set to something else. max is unset if it is not positive.
func Protocol() core.Protocol {
	return core.Protocol{
		Name:   "webwire",
		Listen: ":8081",
		Options: func() any {
			return &Options{
				ReadTimeout: defaultReadTimeout, MessageBufferSize: defaultBufferSize, ReplyEncoding: SameEncoding,
				ConcurrencyLimit: defaultConcurrency,
				Sessions:         SessionOptions{Store: MemoryStore, Dir: "wwrsess"},
			}
		},
		Validate: func(options any) error {
			o, err := optionsOf(options)
			if err != nil {
				return err
			}
			return o.validate()
		},
		New: func(options any, max int) (core.Format, error) {
			o, err := optionsOf(options)
			if err != nil {
				return nil, err
			}
			if err := o.validate(); err != nil {
				return nil, err
			}
			if max > 0 && max != o.MessageBufferSize {
				return nil, fmt.Errorf("message_buffer_size is %d, but max_message_size is %d: leave max_message_size out, or make them equal",
					o.MessageBufferSize, max)
			}
			return newFormat(*o), nil
		},
	}
}

func optionsOf(options any) (*Options, error) {
	o, ok := options.(*Options)
	if !ok {
		return nil, fmt.Errorf("webwire options are of type %T", options)
	}
	return o, nil
}

// Needs returns the session store, and the bound on calls.
func (o *Options) Needs() core.Needs {
	s := o.Sessions
	return core.Needs{
		Sessions: s.Store, SessionsDir: s.Dir, MaxSessionConnections: s.MaxConnections,
		SessionLimits: core.SessionLimits{Max: s.Max, MaxAge: s.MaxAge},
		CallsAtOnce:   o.callsAtOnce(),
	}
}

// callsAtOnce returns concurrency_limit as the engine counts: 0 is no bound.
func (o *Options) callsAtOnce() int {
	switch {
	case o.ConcurrencyLimit < 0:
		return 0
	case o.ConcurrencyLimit == 0:
		return 1
	}
	return o.ConcurrencyLimit
}

// validate returns all faults at once.
func (o *Options) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if o.ReadTimeout < minReadTimeout || o.ReadTimeout > maxReadTimeout {
		fault("read_timeout: must be from %s to %s, not %s", minReadTimeout, maxReadTimeout, o.ReadTimeout)
	}
	if o.MessageBufferSize < minBufferSize || o.MessageBufferSize > maxBufferSize {
		fault("message_buffer_size: must be from %d to %d bytes, not %d", minBufferSize, maxBufferSize, o.MessageBufferSize)
	} else if acceptConfHead+len(o.SubProtocol) > o.MessageBufferSize {
		fault("sub_protocol: does not fit into the first message, which has at most message_buffer_size (%d) bytes", o.MessageBufferSize)
	}
	for _, pattern := range o.Subscribe {
		if matchesNothing(pattern) {
			fault("subscribe: %q matches nothing, # must be in the last level", pattern)
		}
	}
	if name, err := appendName(nil, []byte(o.DefaultTopic)); err != nil {
		fault("default_topic: %w", err)
	} else if len(name) > maxName {
		fault("default_topic: must be at most %d bytes as a name, not %d", maxName, len(name))
	}
	if o.ReplyEncoding != SameEncoding && o.ReplyEncoding != UTF8Encoding {
		fault("reply_encoding: must be %s or %s, not %q", SameEncoding, UTF8Encoding, o.ReplyEncoding)
	}
	switch s := o.Sessions; {
	case s.Store != MemoryStore && s.Store != FileStore && s.Store != ClusterStore && s.Store != NoStore:
		fault("sessions.store: must be %s, %s, %s or %s, not %q", MemoryStore, FileStore, ClusterStore, NoStore, s.Store)
	case s.Store == ClusterStore && s.Max > 0:
		fault("sessions.max: is no use with the store %s, in which no node knows how many sessions there are; max_age limits them", ClusterStore)
	case s.Store == FileStore && s.Dir == "":
		fault("sessions.dir: is missing: the folder of the session files")
	case s.MaxConnections < 0:
		fault("sessions.max_connections: must not be negative")
	case s.Max < 0:
		fault("sessions.max: must not be negative")
	case s.MaxAge < 0:
		fault("sessions.max_age: must not be negative")
	}
	return errors.Join(faults...)
}

// matchesNothing reports whether a level before the last begins with #.
func matchesNothing(pattern string) bool {
	levels := strings.Split(pattern, "/")
	return slices.ContainsFunc(levels[:len(levels)-1], func(level string) bool { return strings.HasPrefix(level, "#") })
}
