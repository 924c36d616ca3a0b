package network

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/sockets"
)

// Options are the settings of a Server. The zero value of each field but Hub takes
// the default.
type Options struct {
	// Hub is the engine. Required.
	Hub core.Hub
	// BeforeUpgrade may refuse a connection before its upgrade (see core.Hooks); nil
	// refuses none.
	BeforeUpgrade func(ctx context.Context, endpoint string, h core.Handshake) error
	// Listen opens the socket of an address for an endpoint; the default opens a new one.
	// The listener is a *net.TCPListener or a *net.UnixListener.
	Listen func(endpoint, address string) (net.Listener, error)
	// Logger takes the log; the default discards it.
	Logger *slog.Logger
	// Loops is the number of event loops; the default is one for each CPU.
	Loops int
	// closeTime and lingerTime are longer in tests; 0 is the constant of that name.
	closeTime, lingerTime time.Duration
	// tapBytes is less in tests; 0 is the constant of that name.
	tapBytes int64
	// NumbersAfter is the number after which those of connections begin: so the nodes of a
	// cluster have different ones.
	NumbersAfter uint64
	// Limits are the initial limits.
	Limits
	// HandshakeTimeout is the time for a client to make its TLS handshake, if there
	// is TLS, and then to send its request head. The default is 10 s for each.
	HandshakeTimeout time.Duration
	// HTTPIdleTimeout is how long a plain HTTP connection may wait for its next request.
	// The default is 2 minutes: load balancers keep theirs for a minute, and must be the
	// first to close one.
	HTTPIdleTimeout time.Duration
	// MaxHeader bounds a request head, in bytes, and MaxHeaderFields its header fields;
	// more is answered 431. The defaults are 64 KiB and 1000.
	MaxHeader, MaxHeaderFields int
	// SendBuffer is the kernel's send buffer for each connection, in bytes: what a
	// stalled client may hold in the kernel. The default is 128 KiB.
	SendBuffer int
	// Bridges judges the upgrades of bridges; nil takes them for those of other clients.
	Bridges Bridges
	// Farewell is called by Shutdown when the clients have left, and returns when the guests (see
	// Server.Host) have, who so hear what the clients have published last; nil ends them.
	Farewell func()
	// Places counts the connections of users over all nodes of a cluster; nil if the broker is alone.
	Places core.Places
	// OutboundBudget bounds the memory of encoded messages, in bytes: those in
	// mailboxes and those that wait for clients that do not read fast enough. Over
	// it, the SlowConsumer policy of the endpoint applies to the slowest clients. The
	// default is a quarter of the soft memory limit (GOMEMLIMIT), but at least 64
	// MiB; without a limit 256 MiB.
	OutboundBudget int64
	// InboundBudget bounds the memory of waiting input, in bytes: input that waits for the
	// rest of its message or TLS record, for its turn, or for an authorizer, and the history of
	// clients that compress with context takeover. Over it, the clients with the most waiting
	// input are disconnected. The default is that of OutboundBudget. It is never less than
	// two of the biggest messages that an endpoint admits.
	InboundBudget int64
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Listen == nil {
		o.Listen = func(_, address string) (net.Listener, error) { return sockets.Listen(address) }
	}
	if o.Loops <= 0 {
		o.Loops = runtime.NumCPU()
	}
	o.closeTime, o.lingerTime = cmp.Or(o.closeTime, closeTime), cmp.Or(o.lingerTime, lingerTime)
	o.tapBytes = cmp.Or(o.tapBytes, tapBytes)
	if o.Farewell == nil {
		o.Farewell = func() {}
	}
	if o.HandshakeTimeout <= 0 {
		o.HandshakeTimeout = 10 * time.Second
	}
	if o.HTTPIdleTimeout <= 0 {
		o.HTTPIdleTimeout = 2 * time.Minute
	}
	if o.MaxHeader <= 0 {
		o.MaxHeader = 64 << 10
	}
	if o.MaxHeaderFields <= 0 {
		o.MaxHeaderFields = 1000
	}
	if o.SendBuffer <= 0 {
		o.SendBuffer = 128 << 10
	}
	if o.OutboundBudget <= 0 {
		o.OutboundBudget = defaultBudget()
	}
	if o.InboundBudget <= 0 {
		o.InboundBudget = defaultBudget()
	}
	return o
}

// Endpoint is one endpoint to serve. It must not be changed once it is served; use
// Server.Apply and Server.Exchange instead.
type Endpoint struct {
	*core.Endpoint
	// Format is its wire format.
	Format core.Format
	// Listen is the TCP address, "host:port", or "unix:" and the path of a socket;
	// endpoints with the same Listen share a listener, except that port 0 is a new port
	// for each.
	Listen string
	// TLS is the TLS configuration; nil is plain TCP. Endpoints that share a listener have
	// the same one. Its GetConfigForClient may swap certificates at any time.
	TLS *tls.Config
	// Path is the path of the upgrade request; "" is any path that no other
	// endpoint of the listener has.
	Path string
	// HTTP answers requests that are not upgrades; nil if the format has no HTTP.
	HTTP http.Handler
	// MaxMessage bounds a client message, in bytes (close 1009).
	MaxMessage int
	// Settings are the initial settings.
	Settings Settings
	// ProxyProtocol is the same for all endpoints of a listener.
	ProxyProtocol ProxyProtocol
}

// endpoint is an Endpoint with the fields that the loops read most.
type endpoint struct {
	Endpoint
	server      *Server
	door        *door
	outlet      outlet
	translation translation

	pingsCount bool
	closeReply uint16
	profile    core.Profile

	// Atomic.
	settings atomic.Pointer[settings] // the current ones; a connection adopts them when told to
	open     atomic.Int64             // connections that have entered
	closed   atomic.Bool              // no connection may enter any more
	tap      atomic.Pointer[Tap]      // nil unless it is tapped

	hosts headcount[core.Host]
	users headcount[string]
}

// Server serves endpoints. All exported methods may be called from any goroutine.
type Server struct {
	// Static after construction.
	options Options
	hub     core.Hub
	log     *slog.Logger
	client  *gnet.Client
	started time.Time
	seed    maphash.Seed  // of the keys of frames
	running chan struct{} // closed when the loops have started
	done    chan struct{} // closed when the loops end
	stats   Stats

	decoding chan struct{} // a slot for each message that is decoded off the loops

	admission admission
	halfOpen  halfOpen
	away      turnedAway
	awayWatch awayWatch

	// Guarded by mu.
	mu      sync.Mutex
	doors   []*door
	eps     map[string]*endpoint
	waiting []func() // called when there is room in the mailboxes, in order

	hosting  sync.RWMutex // held while a guest is moved into a loop
	noGuests bool         // guarded by hosting

	// Atomic.
	loops     atomic.Pointer[[]*loop]
	remotes   atomic.Pointer[[]core.RemoteFormat] // that have connections; written under mu
	open      atomic.Int64                        // connections that have entered
	aside     atomic.Int64                        // connections that turnAwayAside answers
	ids       atomic.Uint64
	turns     atomic.Int32  // loops in the middle of a turn
	congested atomic.Int32  // loops whose mailboxes are congested
	queued    atomic.Int32  // how many are in waiting; written under mu
	coming    atomic.Int32  // connections that are let in and not released yet
	taps      atomic.Int32  // how many endpoints and connections are tapped
	watched   atomic.Int32  // how many taps watch topics: what clients say is kept for them
	tapLost   atomic.Uint64 // events that taps have lost
	spent     atomic.Int64  // the total cost of the messages put into mailboxes (mailbox.append)
	leaving   atomic.Bool   // no new clients should be sent here
	draining  atomic.Bool   // no new clients are admitted
	down      atomic.Bool   // Shutdown was called
	ready     atomic.Bool
	budget    budget
	inbound   budget
	windows   windows
}

// New returns a server that does not listen yet.
func New(o Options) *Server {
	o = o.withDefaults()
	s := &Server{
		options: o, hub: o.Hub, log: o.Logger,
		started: time.Now(),
		seed:    maphash.MakeSeed(),
		running: make(chan struct{}),
		done:    make(chan struct{}),
		eps:     make(map[string]*endpoint),
		budget:  budget{limit: o.OutboundBudget},
		inbound: budget{limit: o.InboundBudget},
		windows: windows{limit: o.InboundBudget / windowShare},

		decoding: make(chan struct{}, max(1, o.Loops/2)),
	}
	s.ids.Store(o.NumbersAfter)
	s.admission.init(o.Limits)
	s.loops.Store(new([]*loop))
	s.remotes.Store(new([]core.RemoteFormat))
	return s
}

// Start starts the loops and listens for all endpoints, or for none if listening fails for
// one of them. It is called once.
func (s *Server) Start(eps []Endpoint) error {
	client, err := gnet.NewClient(&events{server: s},
		gnet.WithNumEventLoop(s.options.Loops),
		gnet.WithTCPNoDelay(gnet.TCPNoDelay),
		gnet.WithLogger(gnetLog{s.log}),
	)
	if err != nil {
		return fmt.Errorf("creating event loops: %w", err)
	}
	if err := client.Start(); err != nil {
		return fmt.Errorf("starting event loops: %w", err)
	}
	s.client = client
	close(s.running)
	if _, err := s.Exchange(nil, eps); err != nil {
		return errors.Join(err, s.stop())
	}
	go s.admission.memory.watch(func() uint64 { return s.admission.limits.Load().MemoryWatermark }, s.ids.Load, s.done)
	s.ready.Store(true)
	return nil
}

// Running returns what is closed when the event loops have started. Any goroutine.
func (s *Server) Running() <-chan struct{} { return s.running }

// Addr returns the address on which an endpoint listens; nil if there is none of
// this name.
func (s *Server) Addr(endpoint string) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ep := s.eps[endpoint]; ep != nil {
		return ep.door.listener.Addr()
	}
	return nil
}

// Sockets returns the listeners, each under the name of one of its endpoints. The server
// still owns them.
func (s *Server) Sockets() []sockets.Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []sockets.Socket
	for _, d := range s.doors {
		list = append(list, sockets.Socket{Name: (*d.endpoints.Load())[0].Name, Listener: d.listener})
	}
	return list
}

// Ready reports whether the server listens and new clients should be sent to it.
func (s *Server) Ready() bool { return s.ready.Load() && !s.leaving.Load() && !s.draining.Load() }

// SetLimits replaces the limits in force. Open connections stay.
func (s *Server) SetLimits(l Limits) { s.admission.set(l) }

// Memory returns how many bytes the process uses, as MemoryWatermark counts them, and
// the watermark.
func (s *Server) Memory() (used, watermark uint64) {
	return s.admission.memory.used.Load(), s.admission.limits.Load().MemoryWatermark
}

// Stats returns the counters of the front door.
func (s *Server) Stats() *Stats { return &s.stats }

// stop ends the loops.
func (s *Server) stop() error {
	s.endHosting()
	close(s.done)
	if err := s.client.Stop(); err != nil {
		return fmt.Errorf("stopping event loops: %w", err)
	}
	return nil
}

// loopOf returns the loop of a gnet event loop, and creates it at its first
// connection: gnet has no list of its loops. Called on that event loop.
func (s *Server) loopOf(el gnet.EventLoop) *loop {
	for _, l := range s.loopList() {
		if l.el == el {
			return l
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.loopList()
	l := newLoop(s, len(old), el)
	list := append(append(make([]*loop, 0, len(old)+1), old...), l)
	s.loops.Store(&list)
	return l
}

func (s *Server) loopList() []*loop  { return *s.loops.Load() }
func (s *Server) loopAt(i int) *loop { return s.loopList()[i] }

func stack() string { return string(debug.Stack()) }

// NextNumber returns the number of a connection that is not one of the server's. Any goroutine.
func (s *Server) NextNumber() uint64 { return s.ids.Add(1) }
