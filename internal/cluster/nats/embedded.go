package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/certs"
)

const (
	// clusterName is the same for all servers of a cluster.
	clusterName = "polywire"
	// serverStart is how long a server may need until it listens. JetStream reads its folder
	// before.
	serverStart = time.Minute
	// tryBytes is how much room a folder must have.
	tryBytes = 64 << 10
	// routeHandshake bounds a handshake between servers.
	routeHandshake = 5 * time.Second
	// twinMemory is longer than a server waits before it tries a route again.
	twinMemory = 10 * time.Second
)

// startServer starts a server within this process. It belongs to the caller, which ends it
// with stopServer. Clients show token, if it is not empty.
func startServer(ctx context.Context, node string, e *Embedded, token string, l *serverLog) (*server.Server, error) {
	// A server says only that it is not ready, and in its log why. What is known to fail is
	// therefore tried before.
	if err := e.try(); err != nil {
		return nil, err
	}
	o, err := e.options(node)
	if err != nil {
		return nil, err
	}
	o.Authorization = token
	srv, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	srv.SetLoggerV2(l, false, false, false)
	started := make(chan struct{})
	go func() {
		defer close(started)
		srv.Start()
	}()
	for deadline := time.Now().Add(serverStart); ; {
		fatal := l.fatal()
		switch {
		case fatal == nil && srv.ReadyForConnections(50*time.Millisecond):
			<-started
			if fatal = l.fatal(); fatal == nil {
				return srv, nil
			}
		case fatal == nil && ctx.Err() != nil:
			fatal = ctx.Err()
		case fatal == nil && time.Now().After(deadline):
			fatal = errors.New("it does not start")
		}
		if fatal != nil {
			<-started
			stopServer(srv)
			return nil, fmt.Errorf("embedded NATS: %w", fatal)
		}
	}
}

func stopServer(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}

// options returns the options of the server.
func (e *Embedded) options(node string) (*server.Options, error) {
	o := &server.Options{
		ServerName: node,
		// DontListen would also keep the routes from starting.
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		NoSigs:     true,
		MaxPayload: embeddedMaxPayload,
		MaxPending: 4 * embeddedMaxPayload,
	}
	var err error
	if e.Client != "" {
		if o.Host, o.Port, err = hostPort(e.Client); err != nil {
			return nil, err
		}
	}
	if e.StoreDir != "" {
		o.JetStream, o.StoreDir = true, e.StoreDir
	}
	if e.Listen == "" {
		return o, nil
	}
	o.Cluster.Name = clusterName
	if o.Cluster.Host, o.Cluster.Port, err = hostPort(e.Listen); err != nil {
		return nil, err
	}
	for _, r := range e.Routes {
		u, err := url.Parse(r)
		if err != nil {
			return nil, withoutSecret(err)
		}
		if e.Secret != "" {
			u.User = url.UserPassword(clusterName, e.Secret)
		}
		o.Routes = append(o.Routes, u)
	}
	if e.TLS != (certs.Peer{}) {
		if o.Cluster.TLSConfig, err = e.TLS.Config(); err != nil {
			return nil, fmt.Errorf("cluster.embedded.tls: %w", err)
		}
		o.Cluster.TLSTimeout = routeHandshake.Seconds()
	}
	if e.Secret != "" {
		o.Cluster.Username, o.Cluster.Password = clusterName, e.Secret
	}
	return o, nil
}

// try finds out whether the server can start: whether its ports are free and its folder can be
// written.
func (e *Embedded) try() error {
	for name, address := range map[string]string{"listen": e.Listen, "client": e.Client} {
		if address == "" {
			continue
		}
		ln, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("cluster.embedded.%s: %w (another program, or another node, uses the address; choose another one)", name, err)
		}
		_ = ln.Close()
	}
	if e.StoreDir == "" {
		return nil
	}
	if err := tryFolder(e.StoreDir); err != nil {
		return fmt.Errorf("cluster.embedded.store_dir: %w", err)
	}
	return nil
}

// tryFolder writes into a folder, which it makes if it is missing.
func tryFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".try-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, tryBytes))
	return errors.Join(err, f.Sync(), f.Close())
}

// serverLog is the log of an embedded server. Unlike the server's own it does not end the
// process.
type serverLog struct {
	log *slog.Logger // static

	mu   sync.Mutex
	err  error     // what the server cannot do without
	twin time.Time // when another server was last found to have this one's name
	// broken says that JetStream could not write to its folder. It does not try again.
	broken bool
}

var _ server.Logger = (*serverLog)(nil)

func (l *serverLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// duplicate reports whether another server was found to have this one's name, lately.
func (l *serverLog) duplicate() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.twin.IsZero() && time.Since(l.twin) < twinMemory
}

func (l *serverLog) brokenStore() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// Noticef logs what an operator need not know: routes come and go as nodes do.
func (l *serverLog) Noticef(format string, v ...any) {
	if text := strings.TrimSpace(fmt.Sprintf(format, v...)); text != "" {
		l.log.Debug("embedded NATS", slog.String("text", text))
	}
}

// Warnf logs a warning.
func (l *serverLog) Warnf(format string, v ...any) {
	// This server need not be told that our messages may be large.
	if !strings.HasPrefix(format, "Maximum payloads over") {
		l.warn(format, v)
	}
}

// Errorf logs an error of the server: to this process it is a warning, as it goes on.
func (l *serverLog) Errorf(format string, v ...any) {
	l.mu.Lock()
	switch {
	case strings.Contains(format, "duplicate name"):
		l.twin = time.Now()
	case strings.Contains(format, "critical write error"):
		l.broken = true
	}
	l.mu.Unlock()
	l.warn(format, v)
}

// Fatalf notes why the server cannot go on.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = fmt.Errorf(strings.ReplaceAll(format, "%w", "%v"), v...)
	}
}

// Debugf and Tracef log nothing: the server does not call them.
func (l *serverLog) Debugf(string, ...any) {}

// Tracef logs nothing.
func (l *serverLog) Tracef(string, ...any) {}

func (l *serverLog) warn(format string, v []any) {
	// The format tells lines of one kind, of which many can come, from others.
	l.log.Warn("embedded NATS", logging.Bounded("", "", slog.String("kind", format)), slog.String("text", fmt.Sprintf(format, v...)))
}
