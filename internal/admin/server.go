package admin

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/polywire/polywire/core/logging"
)

// Server is an admin HTTP server.
type Server struct {
	// Static after construction.
	log     *slog.Logger
	name    string      // in the configuration
	tls     *tls.Config // nil without
	http    *http.Server
	lists   *lists
	tracer  *tracer // nil at that for backends
	endTaps context.CancelFunc

	// Atomic.
	open atomic.Int64 // connections

	// Written only by Start.
	listener net.Listener
	served   chan struct{} // closed when the server has ended
}

// New returns the server for operators, which does not listen yet.
func New(src Source, log *slog.Logger) *Server {
	v1 := newAPI("admin", &src, log)
	v1.guard.page = &ownPage{hosts: src.Hosts}
	mux := http.NewServeMux()
	scrape := promhttp.HandlerFor(registry(src), promhttp.HandlerOpts{ErrorLog: scrapes{log}})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if no := v1.guard.admitScrape(r); no != nil {
			no.head(w)
			answer(w, no.status, no.why)
			return
		}
		scrape.ServeHTTP(w, r)
	})
	serveHealth(mux, &src, log)
	v1.serve(mux)
	all := newLists(src.Nodes)
	for _, one := range []interface{ serve(*http.ServeMux) }{
		newConnections(src, v1, all), newEndpoints(src, v1, all), newTopics(src, v1, all), newHolders(src, v1, all), newSessions(src, v1, all),
		newNodes(src, v1, all), newLosses(src, v1), newOperator(src, v1),
	} {
		one.serve(mux)
	}
	newMessages(src, v1).serve(mux)
	tracer := newTracer(src, v1, all)
	tracer.serve(mux)
	ending, endTaps := context.WithCancel(context.Background())
	mux.Handle("GET /v1/tap", tapper{&src, ending, v1})
	newLive(&src, ending, v1).serve(mux)
	servePage(mux)
	s := newServer(&src, v1.guard, mux, endTaps)
	s.lists, s.tracer = all, tracer
	return s
}

// NewForBackends returns the server for backends, which does not listen yet: of New it has only what publishes and
// calls, and the description. Of the source it reads only what that needs.
func NewForBackends(src Source, log *slog.Logger) *Server {
	v1 := newAPI("api", &src, log)
	mux := http.NewServeMux()
	v1.serve(mux)
	newMessages(src, v1).serve(mux)
	return newServer(&src, v1.guard, mux, func() {})
}

// newAPI returns what serves the operations of /v1 at a server. It fills in what the source may leave out.
func newAPI(name string, src *Source, log *slog.Logger) api {
	if src.Access == nil {
		src.Access = func() *Access { return new(Access) }
	}
	if src.Refusals == nil {
		src.Refusals = new(Refusals)
	}
	return api{&guard{name: name, access: src.Access, guesses: newGuesses(), refused: src.Refusals, log: log}, log}
}

func newServer(src *Source, g *guard, mux *http.ServeMux, endTaps func()) *Server {
	s := &Server{
		log: g.log, name: g.name, tls: src.TLS, endTaps: endTaps,
		http: &http.Server{
			Handler:           &hosts{names: src.Hosts, next: mux, guard: g},
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      operationTimeout,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    16 << 10,
			// OPTIONS * must pass hosts too.
			DisableGeneralOptionsHandler: true,
			ErrorLog:                     slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
		},
		served: make(chan struct{}),
	}
	s.http.ConnState = s.follow
	return s
}

// scrapes logs errors of answers to /metrics: mostly the client has gone, which it may do as often
// as it likes.
type scrapes struct{ log *slog.Logger }

func (s scrapes) Println(v ...any) {
	s.log.Warn("answering /metrics", logging.Bounded("", "metrics"), slog.String("error", strings.TrimSpace(fmt.Sprintln(v...))))
}

// Start serves at a listener until Shutdown. It is called once, before any other method.
func (s *Server) Start(listener net.Listener) {
	s.listener = listener
	if s.tls != nil {
		listener = tls.NewListener(listener, s.tls)
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.log.Error("serving admin", "server", s.name, "error", err)
		}
	}()
}

// Answer answers what the admin server of another node asks, whether this one listens or not. It may be called before
// Start, by any goroutine but those of the event loops; question is borrowed.
func (s *Server) Answer(ctx context.Context, question []byte) []byte {
	return s.lists.answer(ctx, question)
}

// Trace says who would hear a message, TraceCall who would answer a call, and Diagnose why a client hears nothing, as
// /v1/trace and /v1/doctor do, whether the server listens or not. The error may be [core.ErrNoConnection] or
// [core.ErrNoEndpoint]. Any goroutine but those of the event loops.
func (s *Server) Trace(ctx context.Context, q TraceQuery) (*MessageTrace, error) {
	return s.tracer.message(ctx, q)
}

// TraceCall is Trace for a call.
func (s *Server) TraceCall(ctx context.Context, q TraceQuery) (*ServiceTrace, error) {
	return s.tracer.call(ctx, q)
}

// Diagnose says why a client hears nothing; see Trace.
func (s *Server) Diagnose(ctx context.Context, q DoctorQuery) (*Diagnosis, error) {
	return s.tracer.diagnose(ctx, q)
}

// Listener returns the listener, which the server still owns.
func (s *Server) Listener() net.Listener { return s.listener }

// Addr returns the address that the server listens on; nil if Start was not called.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Shutdown stops listening, ends taps, and waits for other running requests until ctx ends; then it
// closes their connections. It may be called again.
func (s *Server) Shutdown(ctx context.Context) error {
	s.endTaps()
	// http.Server's own Shutdown leaves requests that it reads from then on unanswered, so the
	// accepted ones are answered first. The listener is closed already if this is not the first
	// call.
	_ = s.listener.Close()
	<-s.served
	s.http.SetKeepAlivesEnabled(false)
	s.await(ctx)
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("stopping the server of %s: %w", s.name, err), s.http.Close())
	}
	return err
}

// await returns when no connection is open, or when ctx ends.
func (s *Server) await(ctx context.Context) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for s.open.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// follow counts the open connections.
func (s *Server) follow(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
	}
}

// answer writes a one-line answer.
func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// If this fails the client has gone, and there is nobody to tell.
	_, _ = io.WriteString(w, text+"\n")
}

// answerJSON writes an answer as a line of JSON.
func answerJSON(w http.ResponseWriter, log *slog.Logger, status int, body any) {
	answerAs(w, log, "application/json", status, body)
}

// answerAs is answerJSON for another media type.
func answerAs(w http.ResponseWriter, log *slog.Logger, kind string, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		log.Error("writing an answer of the admin server", "error", err)
		answer(w, http.StatusInternalServerError, "the answer cannot be written")
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// If this fails the client has gone, and there is nobody to tell.
	_, _ = w.Write(data)
	_, _ = io.WriteString(w, "\n")
}
