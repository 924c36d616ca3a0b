package config

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/polywire/polywire/core"
)

// Config is the whole configuration. The koanf tags are the keys of the file. [Load] and [Build] return a checked
// one; in one that a program makes for Build, what is zero takes its default.
type Config struct {
	Endpoints []Endpoint  `koanf:"endpoints"`
	Services  []Service   `koanf:"services"`
	Bridges   []Bridge    `koanf:"bridges"`
	Events    []EventSink `koanf:"events"`
	Calls     Calls       `koanf:"calls"`
	Admin     Admin       `koanf:"admin"`
	API       Admin       `koanf:"api"`
	Log       Log         `koanf:"log"`
	Network   Network     `koanf:"network"`
	Drain     Drain       `koanf:"drain"`
	Cluster   Cluster     `koanf:"cluster"`
	Traces    Traces      `koanf:"traces"`
}

// Endpoint is one address at which one wire format is spoken.
type Endpoint struct {
	// Name is the endpoint's name in logs, metrics and overrides: letters, digits, - and _. It must
	// be unique regardless of case, and of - or _.
	Name string `koanf:"name"`
	// Protocol is the name of a [core.Protocol].
	Protocol string `koanf:"protocol"`
	// Listen is a TCP address, "host:port", or "unix:" and the absolute path of a socket. Endpoints
	// with the same address share one listener and differ in Path.
	Listen string `koanf:"listen"`
	// Path begins with a slash; "" is any path that no other endpoint of the listener has.
	Path string `koanf:"path"`
	// TLS is the TLS of the listener, if it has any. Endpoints that share a listener must have the
	// same.
	TLS TLS `koanf:"tls"`
	// Options are the protocol's own, as [core.Protocol.Options] returned them
	// and filled in; nil if it has none. For Build they may also be a map[string]any.
	Options any `koanf:"options"`
	// MaxMessageSize is the biggest client message in bytes.
	MaxMessageSize Size `koanf:"max_message_size"`
	// OutboundLimit is how many bytes may be queued for one connection behind the message that is
	// being written to it.
	OutboundLimit Size `koanf:"outbound_limit"`
	// SlowConsumer is the policy at the outbound limit, and over the budget of the network:
	// disconnect, drop_oldest, drop_newest or conflate.
	SlowConsumer string `koanf:"slow_consumer"`
	// PingInterval is the time between pings to a client; 0 for none.
	PingInterval time.Duration `koanf:"ping_interval"`
	// PongTimeout is how long a client may go without a pong; 0 for ever.
	PongTimeout time.Duration `koanf:"pong_timeout"`
	// IdleTimeout is how long a client may go without a message; 0 for ever.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
	// Limits limit what the endpoint's clients may hold and send.
	Limits Limits `koanf:"limits"`
	// ProxyProtocol says whether connections begin with a PROXY header: off, optional or required.
	// All endpoints of one listener must have the same.
	ProxyProtocol string `koanf:"proxy_protocol"`
	// Origins are the web origins whose pages may connect; nil is the
	// protocol's default, "*" is any. One * may stand for the labels before a
	// domain, or for a port.
	Origins []string `koanf:"origins"`
	// Health is the path of plain HTTP requests that ask whether the endpoint accepts new clients;
	// "" is none.
	Health string `koanf:"health"`
	// TopicPrefix is put before every topic of the endpoint's clients.
	TopicPrefix string `koanf:"topic_prefix"`
	// CallTimeout is the deadline of calls that do not set their own.
	CallTimeout time.Duration `koanf:"call_timeout"`
	// MaxCalls limits the unanswered calls of one connection.
	MaxCalls int `koanf:"max_calls"`

	// Auth are the authentication methods, in the order in which they are tried; nil is no
	// authentication.
	Auth []Auth `koanf:"auth"`
	// ACL is what clients may do; nil allows everything except publishing into owned channels.
	ACL *ACL `koanf:"acl"`
	// Authorizer is the HTTP server that authorizes connections and commands; nil if there is none.
	Authorizer *Authorizer `koanf:"authorizer"`

	// Plugin is the program that translates the endpoint's format; Protocol is then only the name
	// of the format.
	Plugin Plugin `koanf:"plugin"`

	// Format is the wire format, built from Protocol or Plugin, Options and
	// MaxMessageSize.
	Format core.Format `koanf:"-"`
}

// Plugin says how the plugin of an endpoint is run. Zero values mean the plugin package's own
// defaults.
type Plugin struct {
	// Command is the program and its arguments; Args are further arguments.
	Command []string `koanf:"command"`
	Args    []string `koanf:"args"`
	// Env is added to the environment of the broker.
	Env map[string]string `koanf:"env"`
	// Processes is how many processes share the connections.
	Processes int `koanf:"processes"`
	// Checksum is the expected checksum of the program: "sha256:" and 64 hexadecimal digits.
	Checksum string `koanf:"checksum"`
	// Grace is how long connections wait for a plugin that has died to come back.
	Grace time.Duration `koanf:"grace"`
	// AnswerTimeout is the deadline of a plugin's answer, StartTimeout that of its start.
	AnswerTimeout time.Duration `koanf:"answer_timeout"`
	StartTimeout  time.Duration `koanf:"start_timeout"`
	// MTLS secures the connection to the plugin with certificates on both sides.
	MTLS bool `koanf:"mtls"`
}

// Service is an answerer, other than a client, for a service or for all services that match a
// pattern. Exactly one of Builtin and URL is set.
type Service struct {
	// Match is the name of the service, or a pattern. The empty name is a service too.
	Match string `koanf:"match"`
	// Builtin is a built-in answerer: echo returns the payload.
	Builtin string `koanf:"builtin"`
	// URL is the address of the HTTP server that answers.
	URL string `koanf:"url"`
	// Timeout is the deadline of an answer; 0 is 5s.
	Timeout time.Duration `koanf:"timeout"`
	// IdleTimeout is how long an unused connection to the server is kept; 0 is 4s.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
	// MaxAnswerSize is the biggest answer in bytes; 0 is 1MiB.
	MaxAnswerSize Size `koanf:"max_answer_size"`
	// MaxCalls limits the concurrent calls to the server; 0 is 256.
	MaxCalls int `koanf:"max_calls"`
}

// Calls are the limits of calls that do not belong to one endpoint or one entry of Services.
type Calls struct {
	// MaxPerService limits the unanswered calls of one service that clients offer.
	MaxPerService int `koanf:"max_per_service"`
	// Budget limits the bytes of the requests that handlers and HTTP servers are answering.
	Budget Size `koanf:"budget"`
}

// Redact are the rules by which taps leave something out.
type Redact struct {
	// Keys are members of JSON objects whose values are not shown, Headers fields of requests and headers of messages.
	Keys    []string `koanf:"keys"`
	Headers []string `koanf:"headers"`
	// Topics are whole topics, or patterns of them, of which no content is shown.
	Topics []string `koanf:"topics"`
}

// Log is what is logged and how.
type Log struct {
	// Level is the lowest level that is logged.
	Level Level `koanf:"level"`
	// Format is text or json.
	Format string `koanf:"format"`
	// Access is what is logged of clients: off, refusals or all.
	Access string `koanf:"access"`
}

// Level is a [slog.Leveler] written as debug, info, warn or error.
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

// Network has the limits of the front door and of the event loops. Zero values mean the network's
// own defaults.
type Network struct {
	// Loops is the number of event loops; 0 is one for each CPU.
	Loops int `koanf:"loops"`
	// MaxConnections limits the open connections of the process.
	MaxConnections int `koanf:"max_connections"`
	// MaxHandshakes limits the connections that have not finished their handshake, and
	// MaxHandshakesPerAddress how many of them one address may have.
	MaxHandshakes           int `koanf:"max_handshakes"`
	MaxHandshakesPerAddress int `koanf:"max_handshakes_per_address"`
	// MaxHTTPPerAddress limits the plain HTTP connections of one address at one listener;
	// MaxHandshakes limits those of all addresses.
	MaxHTTPPerAddress int `koanf:"max_http_per_address"`
	// HTTPIdleTimeout is how long a plain HTTP connection may wait for its next request.
	HTTPIdleTimeout time.Duration `koanf:"http_idle_timeout"`
	// HandshakeRate limits how fast connections are accepted; HandshakeBurst is how many may come
	// at once, 0 as many as in one period.
	HandshakeRate  Rate `koanf:"handshake_rate"`
	HandshakeBurst int  `koanf:"handshake_burst"`
	// HandshakeTimeout is the deadline for a client's upgrade request.
	HandshakeTimeout time.Duration `koanf:"handshake_timeout"`
	// MaxHeader is the biggest request head in bytes, and MaxHeaderFields its most header fields.
	MaxHeader       Size `koanf:"max_header"`
	MaxHeaderFields int  `koanf:"max_header_fields"`
	// SendBuffer is the kernel's send buffer for each connection, in bytes.
	SendBuffer Size `koanf:"send_buffer"`
	// OutboundBudget limits the bytes queued for all connections together.
	OutboundBudget Size `koanf:"outbound_budget"`
	// InboundBudget limits the bytes of unfinished input of all connections together.
	InboundBudget Size `koanf:"inbound_budget"`
	// MemoryWatermark is how much memory may be in use before new connections are refused; 0 is no
	// limit.
	MemoryWatermark Watermark `koanf:"memory_watermark"`
	// TrustedProxies are the proxies whose word about the client's address is believed.
	TrustedProxies []CIDR `koanf:"trusted_proxies"`
}

// Drain says how the broker shuts down.
type Drain struct {
	// Rate is how many connections are closed per period; it is raised if the connections could not
	// all be closed within Timeout. The zero value closes all at once.
	Rate Rate `koanf:"rate"`
	// Timeout limits waiting for running calls and closing the connections together. What is left
	// then is ended.
	Timeout time.Duration `koanf:"timeout"`
	// Delay is how long new clients are still admitted and served before draining, while the admin
	// server already reports not ready: load balancers need some time to notice.
	Delay time.Duration `koanf:"delay"`
}

// Defaults returns the configuration where no source sets anything.
func Defaults() Config {
	return Config{
		Calls: Calls{MaxPerService: 1 << 16, Budget: 256 << 20},
		Admin: Admin{Listen: "127.0.0.1:9100", Health: Health{LoopTimeout: 30 * time.Second, CertificateDays: 14, SessionSpace: 64 << 20}},
		Log:   Log{Level: Level(slog.LevelInfo), Format: "text", Access: "refusals"},
		Drain: Drain{Rate: Rate{N: 500, Per: time.Second}, Timeout: 30 * time.Second},

		Cluster: Cluster{QueueLimit: 64 << 20},
		Traces:  Traces{Sample: 0.01, Service: "polywire"},
	}
}

// endpointDefaults are an endpoint's defaults that do not depend on its protocol.
func endpointDefaults() Endpoint {
	return Endpoint{
		SlowConsumer:  "disconnect",
		CallTimeout:   30 * time.Second,
		MaxCalls:      1024,
		ProxyProtocol: "off",
	}
}
