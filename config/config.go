package config

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/polywire/polywire/core"
)

// Config is the whole configuration, checked. The koanf tags are the keys of
// the file.
type Config struct {
	Endpoints []Endpoint `koanf:"endpoints"`
	Services  []Service  `koanf:"services"`
	Calls     Calls      `koanf:"calls"`
	Admin     Admin      `koanf:"admin"`
	Log       Log        `koanf:"log"`
	Network   Network    `koanf:"network"`
	Drain     Drain      `koanf:"drain"`
}

// Endpoint is one address at which one wire format is spoken.
type Endpoint struct {
	// Name labels logs and metrics and names the endpoint in overrides:
	// letters, digits, - and _. Unique without regard to case and to - or _.
	Name string `koanf:"name"`
	// Protocol is the name of a [core.Protocol].
	Protocol string `koanf:"protocol"`
	// Listen is a TCP address, "host:port", or "unix:" and the absolute path of a
	// socket. Endpoints that write the same address share one listener and differ by
	// Path.
	Listen string `koanf:"listen"`
	// Path begins with a slash; "" is any path that no other endpoint of the
	// listener has.
	Path string `koanf:"path"`
	// TLS is how the listener speaks TLS, if it does. Endpoints that share a listener
	// have the same.
	TLS TLS `koanf:"tls"`
	// Options are the protocol's own, as [core.Protocol.Options] returned them
	// and filled in; nil if it has none.
	Options any `koanf:"options"`
	// MaxMessageSize is the biggest client message in bytes.
	MaxMessageSize Size `koanf:"max_message_size"`
	// OutboundLimit is how many bytes may wait for one connection behind the message that
	// is being written to it.
	OutboundLimit Size `koanf:"outbound_limit"`
	// SlowConsumer is what happens at the limit, and over the budget of the
	// network: disconnect, drop_oldest, drop_newest or conflate.
	SlowConsumer string `koanf:"slow_consumer"`
	// PingInterval is the time between pings to a client; 0 for none.
	PingInterval time.Duration `koanf:"ping_interval"`
	// PongTimeout is how long a client may go without a pong; 0 for ever.
	PongTimeout time.Duration `koanf:"pong_timeout"`
	// IdleTimeout is how long a client may go without a message; 0 for ever.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
	// Limits are what the endpoint's clients may have and send.
	Limits Limits `koanf:"limits"`
	// ProxyProtocol says whether connections begin with a PROXY header: off,
	// optional or required. The same for all endpoints of one listener.
	ProxyProtocol string `koanf:"proxy_protocol"`
	// Origins are the web origins whose pages may connect; nil is the
	// protocol's default, "*" is any. One * may stand for the labels before a
	// domain, or for a port.
	Origins []string `koanf:"origins"`
	// Health is the path of plain requests that ask whether new clients are welcome; "" is
	// none.
	Health string `koanf:"health"`
	// TopicPrefix is put before every topic of the endpoint's clients.
	TopicPrefix string `koanf:"topic_prefix"`
	// CallTimeout is how long a call waits that does not say so itself.
	CallTimeout time.Duration `koanf:"call_timeout"`
	// MaxCalls bounds the unanswered calls of one connection.
	MaxCalls int `koanf:"max_calls"`

	// Auth are the ways to tell who a client is, in the order in which they are tried;
	// nil asks nobody.
	Auth []Auth `koanf:"auth"`
	// ACL is what clients may do; nil allows all but publishing into owned channels.
	ACL *ACL `koanf:"acl"`
	// Authorizer is the HTTP server that is asked about connections and commands; nil
	// if there is none.
	Authorizer *Authorizer `koanf:"authorizer"`

	// Plugin is the program that translates the endpoint's format; Protocol is then only
	// what the format is called.
	Plugin Plugin `koanf:"plugin"`

	// Format is the wire format, built from Protocol or Plugin, Options and
	// MaxMessageSize.
	Format core.Format `koanf:"-"`
}

// Plugin is how the plugin of an endpoint is run. A zero is the plugin package's own
// choice.
type Plugin struct {
	// Command is the program and its arguments; Args are more of them.
	Command []string `koanf:"command"`
	Args    []string `koanf:"args"`
	// Env is added to the environment of the broker.
	Env map[string]string `koanf:"env"`
	// Processes is how many processes share the connections.
	Processes int `koanf:"processes"`
	// Checksum is what the program must have: "sha256:" and 64 hexadecimal digits.
	Checksum string `koanf:"checksum"`
	// Grace is how long connections wait for a plugin that has ended.
	Grace time.Duration `koanf:"grace"`
	// AnswerTimeout is how long the plugin may take for an answer, StartTimeout how long
	// to start.
	AnswerTimeout time.Duration `koanf:"answer_timeout"`
	StartTimeout  time.Duration `koanf:"start_timeout"`
	// MTLS secures the way to the plugin with certificates.
	MTLS bool `koanf:"mtls"`
}

// Service is who answers a service, or all services that match a pattern, if it is
// not a client. Exactly one of Builtin and URL is set.
type Service struct {
	// Match is the name of the service, or a pattern. The empty name is a service too.
	Match string `koanf:"match"`
	// Builtin is what answers: echo returns the payload.
	Builtin string `koanf:"builtin"`
	// URL is the address of the HTTP server that answers.
	URL string `koanf:"url"`
	// Timeout is how long it may take; 0 is 5s.
	Timeout time.Duration `koanf:"timeout"`
	// IdleTimeout is how long a connection to the server is kept that is not used; 0 is 4s.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
	// MaxAnswerSize is the biggest answer in bytes; 0 is 1MiB.
	MaxAnswerSize Size `koanf:"max_answer_size"`
	// MaxCalls is how many calls the server is asked at once; 0 is 256.
	MaxCalls int `koanf:"max_calls"`
}

// Calls are the bounds of calls that are not those of one endpoint or one entry of
// Services.
type Calls struct {
	// MaxPerService bounds the unanswered calls of one service that clients offer.
	MaxPerService int `koanf:"max_per_service"`
	// Budget bounds what handlers and HTTP servers have of the requests that they answer.
	Budget Size `koanf:"budget"`
}

// Admin is the address of metrics and health.
type Admin struct {
	// Listen is an address of its own, as that of an endpoint; "" turns the server off.
	Listen string `koanf:"listen"`
	// Hosts are the names, besides those of the loopback interface, by which the server
	// is asked; "*" is any.
	Hosts []string `koanf:"hosts"`
	// ReloadToken is what whoever asks for a reload must show, as a bearer token. Without
	// it only programs on the same machine may ask.
	ReloadToken string `koanf:"reload_token"`
}

// Log is what is logged and how.
type Log struct {
	// Level is the lowest level that is logged.
	Level Level `koanf:"level"`
	// Format is text or json.
	Format string `koanf:"format"`
}

// Level is a [slog.Leveler] that is written debug, info, warn or error.
type Level slog.Level

// Level returns the level.
func (l Level) Level() slog.Level { return slog.Level(l) }

// UnmarshalText parses a level.
func (l *Level) UnmarshalText(text []byte) error {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[string(text)]
	if !ok {
		return fmt.Errorf("must be debug, info, warn or error, not %q%s", text, suggest(string(text), sortedKeys(levels)))
	}
	*l = Level(level)
	return nil
}

// Network holds the limits of the front door and of the event loops. A zero is
// the network's own choice.
type Network struct {
	// Loops is the number of event loops; 0 is one for each CPU.
	Loops int `koanf:"loops"`
	// MaxConnections bounds the open connections of the process.
	MaxConnections int `koanf:"max_connections"`
	// MaxHandshakes bounds the connections that are still shaking hands, and those
	// of them that one address has.
	MaxHandshakes           int `koanf:"max_handshakes"`
	MaxHandshakesPerAddress int `koanf:"max_handshakes_per_address"`
	// MaxHTTPPerAddress bounds the plain HTTP connections of one address at one listener,
	// where MaxHandshakes bounds those of all.
	MaxHTTPPerAddress int `koanf:"max_http_per_address"`
	// HTTPIdleTimeout is how long a plain HTTP connection may wait for its next request.
	HTTPIdleTimeout time.Duration `koanf:"http_idle_timeout"`
	// HandshakeRate bounds how fast connections are accepted; HandshakeBurst is how
	// many may come at once, 0 as many as in one period.
	HandshakeRate  Rate `koanf:"handshake_rate"`
	HandshakeBurst int  `koanf:"handshake_burst"`
	// HandshakeTimeout is how long a client may take to ask for its upgrade.
	HandshakeTimeout time.Duration `koanf:"handshake_timeout"`
	// MaxHeader is the biggest request head in bytes, and MaxHeaderFields how many header
	// fields it may have.
	MaxHeader       Size `koanf:"max_header"`
	MaxHeaderFields int  `koanf:"max_header_fields"`
	// SendBuffer is the kernel's send buffer for each connection, in bytes.
	SendBuffer Size `koanf:"send_buffer"`
	// OutboundBudget bounds the bytes that wait for all connections together.
	OutboundBudget Size `koanf:"outbound_budget"`
	// InboundBudget bounds the bytes of unfinished input of all connections together.
	InboundBudget Size `koanf:"inbound_budget"`
	// MemoryWatermark is how much memory may be in use before new connections are
	// refused; 0 is no bound.
	MemoryWatermark Watermark `koanf:"memory_watermark"`
	// TrustedProxies are believed when they say for whom they connect.
	TrustedProxies []CIDR `koanf:"trusted_proxies"`
}

// Drain is how the broker ends.
type Drain struct {
	// Rate is how many connections are closed in a time; it is raised where that
	// would not be done within Timeout. The zero value closes all at once.
	Rate Rate `koanf:"rate"`
	// Timeout is how long running calls are waited for, and the connections closed,
	// together. What is left then is ended.
	Timeout time.Duration `koanf:"timeout"`
	// Delay is how long new clients are still let in and served, before all that, while
	// the admin server says already that they are not welcome: load balancers take a
	// while to notice.
	Delay time.Duration `koanf:"delay"`
}

// Defaults returns what holds where no source says otherwise.
func Defaults() Config {
	return Config{
		Calls: Calls{MaxPerService: 1 << 16, Budget: 256 << 20},
		Admin: Admin{Listen: "127.0.0.1:9100"},
		Log:   Log{Level: Level(slog.LevelInfo), Format: "text"},
		Drain: Drain{Rate: Rate{N: 500, Per: time.Second}, Timeout: 30 * time.Second},
	}
}

// endpointDefaults is an endpoint without what depends on its protocol.
func endpointDefaults() Endpoint {
	return Endpoint{
		SlowConsumer:  "disconnect",
		CallTimeout:   30 * time.Second,
		MaxCalls:      1024,
		ProxyProtocol: "off",
	}
}
